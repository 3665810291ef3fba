//! A sink that is down: notices are kept and receipted, and it is asked now and then until it is back.

use std::fs;

use sallyport_proto::{receipt::Statement, vocabulary::ReceiptLevel};
use sallyport_subscriber::store::Store;

use crate::{
    ground::{Ground, script, told},
    world::{Case, me},
};

/// As many as open it, and some more.
const NOTICES: u32 = 8;

impl Ground {
    async fn until_breaker(&self, open: bool) {
        let store = Store::open(&self.store_dir(), &me()).unwrap();
        let what = if open { "the breaker is open" } else { "the breaker is closed" };
        self.until(what, async || (store.breaker_open_since().unwrap().is_some() == open).then_some(()))
            .await;
    }

    async fn received(&self) -> usize {
        let receipts = self.receipts().await.into_iter();
        let received =
            receipts.filter(|(r, _)| matches!(r.statement, Statement::Level(ReceiptLevel::Received)));
        received.map(|(receipt, _)| receipt.notices.len()).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_application_is_down_notices_are_receipted_and_its_return_is_noticed() {
    let mut ground = Ground::prepared("to = \"none\"").await;
    let back = ground.dir.path().join("back");
    let hand_over = script(ground.dir.path(), &format!("test -e {}", back.display())) + "\ntries = 50";
    ground.write_files(&hand_over);
    ground.start_server().await;
    let _bridge = ground.run();
    for custody in 1..=NOTICES {
        ground.deliver(&Case::custody(custody)).await;
    }
    ground.until_breaker(true).await;
    let runs = told(ground.dir.path()).len();
    ground.deliver(&Case::custody(NOTICES + 1)).await;
    ground.settled().await;
    assert_eq!(ground.received().await, NOTICES as usize + 1, "settling never waits for the sink");
    // On a machine that stood still meanwhile two probes were due; without a breaker each notice is tried every second.
    assert!(told(ground.dir.path()).len() <= runs + 2, "and the application is left alone");

    fs::write(&back, "").unwrap();
    ground.until_breaker(false).await;
    ground
        .receipts_until("all are staged", |receipts| {
            let staged =
                receipts.iter().filter(|r| matches!(r.statement, Statement::Level(ReceiptLevel::Staged)));
            staged.count() == NOTICES as usize + 1
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_takes_no_files_does_not_end_the_bridge() {
    let ground = Ground::new("to = \"files\"\ndir = \"notices\"").await;
    let notices = ground.dir.path().join("notices");
    let _bridge = ground.run();
    ground.deliver(&Case::custody(1)).await;
    ground.until("the first is there", async || (ground.files().len() == 1).then_some(())).await;
    fs::rename(&notices, ground.dir.path().join("away")).unwrap();
    fs::write(&notices, "in the way").unwrap();
    ground.deliver(&Case::custody(2)).await;
    ground.until_breaker(true).await;
    ground.settled().await;
    assert_eq!(ground.received().await, 2);

    fs::remove_file(&notices).unwrap();
    ground.until_breaker(false).await;
    ground.until("the second is there", async || (ground.files().len() == 1).then_some(())).await;
}
