//! Which registry is in force: only a newer one, signed by the pinned registrar, of the same instance, that lists us.

use std::{fs, path::Path, time::Duration};

use sallyport_link::{
    config::signature_path,
    registry::{FloorError, Keeper, Source},
};
use sallyport_proto::{key::Signer, registry};
use sallyport_subscriber::{BUILD, trust};

use crate::world::{Key, World, me};

/// As an operator replaces it: whole, by renaming.
fn write(file: &Path, registrar: &Key, text: &str) {
    let signer = Signer::registrar_from_seed(&registrar.seed()).unwrap();
    for (path, text) in
        [(file.to_owned(), text.to_owned()), (signature_path(file), registry::sign(&signer, text.as_bytes()))]
    {
        let aside = path.with_extension("aside");
        fs::write(&aside, text).unwrap();
        fs::rename(aside, path).unwrap();
    }
}

#[tokio::test]
async fn only_a_newer_registry_of_the_pinned_registrar_comes_into_force() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("registry.toml");
    let mut world = World::new();
    world.version = 5;
    write(&file, &world.registrar, &world.registry_text());
    let registrar = world.registrar.public().parse().unwrap();
    let source = Source {
        file: file.clone(),
        registrar: Some(registrar),
        look_every: Duration::from_secs(1),
        build: BUILD,
    };
    let store = dir.path().join("store");
    let first = world.registry();
    let mut keeper = Keeper::new(source.clone(), &store, &first).unwrap();
    let mut current = first.version;
    let text = |version: u64| world.registry_text().replace("version = 5", &format!("version = {version}"));
    let stranger = Key::registrar();
    let cases = [
        (&world.registrar, text(6), 6),
        (&world.registrar, text(5), 6),
        (&stranger, text(7), 6),
        (&world.registrar, text(7).replace("zz-test", "zz-other"), 6),
        (&world.registrar, text(7).replace("id = \"fed-a\"", "id = \"fed-b\""), 6),
        (&world.registrar, text(7).replace("[operator]", "[operator]\nnonsense = 1"), 6),
        (&world.registrar, text(6) + "\n# changed\n", 6),
        (&world.registrar, text(7), 7),
    ];
    for (n, (registrar, text, in_force)) in cases.into_iter().enumerate() {
        write(&file, registrar, &text);
        if let Some(new) = keeper.look(trust::lists(me())).await {
            current = new.version;
        }
        assert_eq!(current, in_force, "case {n}");
    }
    // After a restart the old ones, still signed, do not count again.
    let restarted = Keeper::new(source, &store, &first).unwrap_err();
    assert!(matches!(restarted, FloorError::Older { found: 5, kept: 7, .. }), "{restarted}");
    fs::remove_file(&file).unwrap();
    assert!(keeper.look(trust::lists(me())).await.is_none(), "without a file the former one stays");
}
