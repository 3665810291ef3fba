//! What goes to one jail, cut into parts that one message carries. A part that the broker refuses for ever is halved until
//! the one that cannot be carried stands alone: the others go on.

/// Receipts in one Progress: far under the megabyte that a server takes, and a jail's page of catch-up stays small.
const PART_BYTES_MAX: usize = 128 * 1024;

/// What is still to be sent, in order.
#[derive(Debug)]
pub struct Parts<T> {
    /// The next one last.
    waiting: Vec<Vec<T>>,
}

impl<T> Parts<T> {
    /// Cuts `items` by their `bytes`. One that is larger than a part goes alone.
    pub fn of(items: Vec<T>, bytes: impl Fn(&T) -> usize) -> Self {
        let mut waiting: Vec<Vec<T>> = Vec::new();
        let mut free = 0;
        for item in items {
            let bytes = bytes(&item);
            match waiting.last_mut() {
                Some(part) if bytes <= free => part.push(item),
                _ => {
                    waiting.push(vec![item]);
                    free = PART_BYTES_MAX;
                }
            }
            free = free.saturating_sub(bytes);
        }
        waiting.reverse();
        Self { waiting }
    }

    /// The next part.
    #[allow(clippy::should_implement_trait, reason = "what is refused comes back in: no iterator does that")]
    pub fn next(&mut self) -> Option<Vec<T>> {
        self.waiting.pop()
    }

    /// `part` can never be stored: its halves come next. Gives the one that stood alone.
    pub fn refused(&mut self, mut part: Vec<T>) -> Option<T> {
        if part.len() > 1 {
            let later = part.split_off(part.len() / 2);
            self.waiting.push(later);
            self.waiting.push(part);
            return None;
        }
        part.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(bytes: &[usize]) -> Vec<Vec<usize>> {
        let mut parts = Parts::of(bytes.to_vec(), |bytes| *bytes);
        std::iter::from_fn(|| parts.next()).collect()
    }

    #[test]
    fn a_part_never_holds_more_than_a_message_carries() {
        const HALF: usize = PART_BYTES_MAX / 2;
        assert_eq!(cut(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(cut(&[1, 2, 3]), [vec![1, 2, 3]]);
        assert_eq!(cut(&[HALF, HALF, 1]), [vec![HALF, HALF], vec![1]]);
        assert_eq!(cut(&[1, PART_BYTES_MAX, 1]), [vec![1], vec![PART_BYTES_MAX], vec![1]]);
        assert_eq!(cut(&[PART_BYTES_MAX + 1, 1]), [vec![PART_BYTES_MAX + 1], vec![1]]);
    }

    #[test]
    fn the_one_that_cannot_be_carried_is_found_among_many_and_the_others_go_on_in_order() {
        const BAD: usize = 41;
        let mut parts = Parts::of((0..64).collect(), |_| 1);
        let (mut stored, mut alone) = (Vec::new(), Vec::new());
        while let Some(part) = parts.next() {
            if part.contains(&BAD) {
                alone.extend(parts.refused(part));
            } else {
                stored.extend(part);
            }
        }
        assert_eq!(alone, [BAD]);
        assert_eq!(stored, (0..64).filter(|n| *n != BAD).collect::<Vec<_>>());
    }
}
