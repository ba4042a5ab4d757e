//! Entries appear whole or not at all, damage is seen, and the folders of the dead are swept.

use std::fs;

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path());
    store.create().unwrap();
    (folder, store)
}

fn record_of(content: &[u8]) -> StepRecord {
    let output = Output {
        name: "file".into(),
        kind: OutputKind::File,
        sha256: Digest::of(content),
        size_bytes: content.len() as u64,
    };
    StepRecord { outputs: vec![output] }
}

fn commit(store: &Store, key: &Digest, content: &[u8]) -> StepRecord {
    let work = store.work_dir("test").unwrap();
    fs::write(work.out().join("file"), content).unwrap();
    let record = record_of(content);
    store.commit(key, work, &record).unwrap();
    record
}

#[test]
fn an_entry_is_there_after_its_commit_and_nothing_else_is() {
    let (_folder, store) = store();
    let key = Digest::of(b"key");
    assert_eq!(store.get(&key).unwrap(), None);
    let record = commit(&store, &key, b"content");
    assert_eq!(store.get(&key).unwrap(), Some(record.clone()));
    assert_eq!(fs::read(store.output_path(&key, "file")).unwrap(), b"content");
    assert_eq!(fs::read_dir(store.root().join("work")).unwrap().count(), 1, "only the lock file is left");
    store.sweep().unwrap();
    assert_eq!(fs::read_dir(store.root().join("work")).unwrap().count(), 0);
}

#[test]
fn a_link_to_a_store_is_followed_before_anything_is_made() {
    let (folder, _) = store();
    let place = folder.path().canonicalize().unwrap();
    let link = place.join("link");
    std::os::unix::fs::symlink(&place, &link).unwrap();
    assert_eq!(Store::at(&link).root(), place.join("v1"));
    assert_eq!(Store::at(&link.join("not/yet")).root(), place.join("not/yet/v1"));
}

#[test]
fn damage_is_seen_whichever_way_it_comes() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("another byte", |path| fs::write(path, b"CONTENT").unwrap()),
        ("shorter", |path| fs::write(path, b"con").unwrap()),
        ("longer", |path| fs::write(path, b"content and more").unwrap()),
        ("gone", |path| fs::remove_file(path).unwrap()),
    ];
    for (name, damage) in damages {
        let (_folder, store) = store();
        let key = Digest::of(b"key");
        let record = commit(&store, &key, b"content");
        let memo = FileMemo::load(&store.memo_dir(), false);
        assert!(store.is_intact(&key, &record.outputs[0], &memo).unwrap(), "{name}: before");
        let path = store.output_path(&key, "file");
        let replacement = path.with_extension("new");
        fs::copy(&path, &replacement).unwrap();
        fs::rename(&replacement, &path).unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        #[allow(clippy::permissions_set_readonly_false, reason = "a test may write what it owns")]
        permissions.set_readonly(false);
        fs::set_permissions(&path, permissions).unwrap();
        damage(&path);
        assert!(!store.is_intact(&key, &record.outputs[0], &memo).unwrap(), "{name}: after");
    }
}

#[test]
fn an_unreadable_record_counts_as_absent_and_is_replaced() {
    let (_folder, store) = store();
    let key = Digest::of(b"key");
    commit(&store, &key, b"content");
    fs::write(store.step_dir(&key).join("outcome.json"), "{").unwrap();
    assert_eq!(store.get(&key).unwrap(), None);
    let record = commit(&store, &key, b"content");
    assert_eq!(store.get(&key).unwrap(), Some(record));
}

#[test]
fn the_sweep_spares_the_living() {
    let (_folder, store) = store();
    let living = store.work_dir("living").unwrap();
    let dead = store.root().join("work/dead-1-0");
    fs::create_dir_all(dead.join("entry/out")).unwrap();
    fs::write(dead.with_extension("lock"), "").unwrap();
    store.sweep().unwrap();
    assert!(living.path().exists());
    assert!(!dead.exists());
}

#[test]
fn a_lock_keeps_others_out_until_it_is_dropped() {
    let (_folder, store) = store();
    let key = Digest::of(b"key");
    let path = store.root().join("locks").join(key.to_string());
    let held = store.lock(&key, || panic!("nobody else holds it")).unwrap();
    assert!(KeyLock::try_take(&path).unwrap().is_none());
    drop(held);
    assert!(KeyLock::try_take(&path).unwrap().is_some());
}

#[test]
fn a_tree_is_known_by_its_content_not_its_place_or_times() {
    let (folder, store) = store();
    let memo = FileMemo::load(&store.memo_dir(), false);
    let make = |name: &str| {
        let root = folder.path().join(name);
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("sub/file"), "content").unwrap();
        std::os::unix::fs::symlink("sub/file", root.join("link")).unwrap();
        root
    };
    let (one, other) = (make("one"), make("other"));
    assert_eq!(memo.tree_digest(&one).unwrap(), memo.tree_digest(&other).unwrap());
    let before = memo.tree_digest(&other).unwrap();
    fs::write(other.join("sub/file"), "CONTENT").unwrap();
    assert_ne!(memo.tree_digest(&other).unwrap(), before);
    fs::remove_file(one.join("link")).unwrap();
    std::os::unix::fs::symlink("elsewhere", one.join("link")).unwrap();
    assert_ne!(memo.tree_digest(&one).unwrap(), before);
}
