//! What a command prints. A reader that has seen enough closes the pipe (`| head`): that is no failure of ours.

use std::io::{self, ErrorKind, Write};

/// A result, to standard output, with a line end.
pub fn say(text: &str) {
    // Nobody is left to tell when even that cannot be written.
    let _ = line(io::stdout().lock(), text);
}

/// What went wrong, to standard error.
pub fn complain(text: &str) {
    let _ = line(io::stderr().lock(), text);
}

/// Writes a line; a closed pipe is no error.
fn line(mut to: impl Write, text: &str) -> io::Result<()> {
    match writeln!(to, "{text}").and_then(|()| to.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is_one() {
        assert!(line(Failing(ErrorKind::BrokenPipe), "x").is_ok());
        assert!(line(Failing(ErrorKind::StorageFull), "x").is_err());
        let mut written = Vec::new();
        assert!(line(&mut written, "two\nlines").is_ok());
        assert_eq!(written, b"two\nlines\n");
    }
}
