//! What is on disk outlives the process, is whole or not there, and goes when it is purged.

use std::fs;
use std::future::poll_fn;
use std::path::PathBuf;

use bytes::Bytes;
use http::HeaderMap;
use tempfile::TempDir;

use super::super::{Caches, Fill, Settings, Space, Wanted};
use super::*;

const TTL: u64 = 1_000_000_000_000;
const LARGE: usize = 200 << 10;

struct Fixture {
    caches: Caches,
    cache: Arc<Cache>,
    space: Space,
}

impl Fixture {
    fn new(folder: &TempDir) -> Self {
        Self::with(folder, |_| {})
    }

    fn with(folder: &TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let path = folder.path().to_owned();
        let mut settings = Settings {
            folder: Some(CacheFolder { path, size: 1 << 20, from: 64 << 10 }),
            ..Settings::default()
        };
        change(&mut settings);
        let (caches, settings) =
            (Caches::new(&Arc::default(), &Arc::default()), Arc::new(settings));
        caches.prepare(&settings).expect("the folder can be used");
        let cache = caches.of(&settings);
        let space = cache.space("a");
        Self { caches, cache, space }
    }

    fn put_for(&self, key: &str, tags: &[&str], owner: &str, ttl: u64, length: usize) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "text/plain".parse().expect("a value"));
        let tags: Vec<_> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let wanted = Wanted {
            key: self.space.key(key.as_bytes()),
            status: 200,
            headers: &headers,
            variant: b"v",
            metadata: b"noted",
            tags: &tags,
            partition: owner,
            ttl,
        };
        let fill = Fill::new(&self.cache, Entry::head(&self.cache, &self.space, &wanted));
        fill.is_whole(&body(key, length), None);
        self.cache.settle();
    }

    fn put(&self, key: &str, tags: &[&str]) {
        self.put_for(key, tags, "", TTL, LARGE);
    }

    fn find(&self, key: &str) -> Option<Arc<Entry>> {
        let mut found = None;
        self.cache.lookup(self.space.key(key.as_bytes()), |entry| found = Some(Arc::clone(entry)));
        found
    }

    fn on_disk(&self, key: &str) -> Arc<StoredBody> {
        let entry = self.find(key).expect("it is stored");
        entry.on_disk().cloned().expect("it is on disk")
    }

    fn is_served(&self, key: &str) -> bool {
        let body = self.on_disk(key);
        read(body.read(0..body.length(), None)).is_ok_and(|it| it == body_of(key))
    }
}

fn body(key: &str, length: usize) -> Bytes {
    key.bytes().cycle().take(length).collect()
}

fn body_of(key: &str) -> Bytes {
    body(key, LARGE)
}

fn read(mut reader: DiskReader) -> Result<Bytes, std::io::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let mut all = Vec::new();
        while let Some(piece) = poll_fn(|context| reader.poll(context)).await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.into())
    })
}

fn files(folder: &TempDir) -> Vec<PathBuf> {
    let shelves = fs::read_dir(folder.path().join("bodies")).expect("a folder");
    let files = shelves.flat_map(|shelf| fs::read_dir(shelf.expect("a shelf").path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn a_large_body_is_a_file_that_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let it = Fixture::new(&folder);
    it.put("large", &["x"]);
    it.put_for("small", &[], "", TTL, 1000);
    assert!(it.find("small").unwrap().bytes().is_some());
    assert!(it.is_served("large"));
    let stored = it.on_disk("large");
    assert_eq!(
        read(stored.read(65_530..131_080, None)).unwrap(),
        body_of("large")[65_530..131_080]
    );
    assert_eq!(read(stored.read(7..8, None)).unwrap(), body_of("large")[7..8]);
    assert_eq!(it.cache.counts.on_disk(), [1, LARGE as u64]);
    assert!(it.cache.bytes() < 10_000, "its body is not in memory");
    let before = it.find("large").unwrap().resident();
    it.caches.finish();
    drop(it);
    let it = Fixture::new(&folder);
    assert!(it.find("small").is_none() && it.is_served("large"));
    let entry = it.find("large").unwrap();
    assert!(entry.resident() > before && entry.resident() < TTL);
    let block = entry.block();
    assert_eq!((block.variant(), block.metadata()), (&b"v"[..], &b"noted"[..]));
    assert_eq!(block.headers()["content-type"], "text/plain");
    assert_eq!(it.cache.counts.on_disk(), [1, LARGE as u64]);
}

#[test]
fn what_is_purged_is_gone_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let it = Fixture::new(&folder);
    for (key, tags) in [("a", &["x"][..]), ("b", &["x"]), ("c", &["url:http://a/"]), ("d", &[])] {
        it.put(key, tags);
    }
    assert_eq!(it.cache.purge_keys("d"), 1);
    it.cache.settle();
    assert_eq!(files(&folder).len(), 3);
    it.caches.finish();
    drop(it);
    // Nobody has asked for a key yet.
    let settings = Settings {
        folder: Some(CacheFolder { path: folder.path().to_owned(), size: 1 << 20, from: 1 }),
        ..Settings::default()
    };
    let caches = Caches::new(&Arc::default(), &Arc::default());
    let cache = caches.of(&Arc::new(settings));
    assert_eq!((cache.purge_tags("x"), cache.purge_tags("url:http://a/")), (2, 1));
    cache.settle();
    assert!(files(&folder).is_empty());
    caches.finish();
    let it = Fixture::new(&folder);
    assert_eq!((it.cache.objects(), it.cache.counts.on_disk()), (0, [0, 0]));
    it.put("e", &[]);
    assert_eq!(it.cache.purge_all(), 1);
    it.cache.settle();
    assert!(files(&folder).is_empty());
}

#[test]
fn who_reads_it_when_it_is_purged_reads_it_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let it = Fixture::new(&folder);
    it.put("a", &[]);
    let stored = it.on_disk("a");
    let reader = stored.read(0..stored.length(), None);
    assert_eq!(it.cache.purge_all(), 1);
    it.cache.settle();
    assert!(files(&folder).is_empty());
    assert_eq!(read(reader).unwrap(), body_of("a"));
}

#[test]
fn a_freshened_entry_keeps_its_file_and_its_new_head() {
    let folder = tempfile::tempdir().unwrap();
    let it = Fixture::new(&folder);
    it.put("a", &["x"]);
    let mut headers = it.find("a").unwrap().block().headers();
    headers.insert("x-renewed", "1".parse().unwrap());
    let freshened = super::super::Freshened { headers, metadata: Some(b"new".to_vec()), ttl: TTL };
    it.cache.freshen(&it.find("a").unwrap(), freshened);
    it.cache.settle();
    it.caches.finish();
    drop(it);
    let it = Fixture::new(&folder);
    assert!(it.is_served("a"));
    let block = it.find("a").unwrap().block();
    assert_eq!(
        (&block.headers()["x-renewed"], block.metadata()),
        (&"1".parse().unwrap(), &b"new"[..])
    );
    assert_eq!(it.cache.purge_tags("x"), 1);
}

#[test]
fn the_folder_is_bounded_and_what_is_read_stays() {
    let folder = tempfile::tempdir().unwrap();
    let it = Fixture::new(&folder);
    it.put("read", &[]);
    for index in 0..20 {
        assert!(it.is_served("read"));
        it.put(&format!("k{index}"), &[]);
        let bytes: u64 = files(&folder).iter().map(|file| file.metadata().unwrap().len()).sum();
        assert!(bytes <= 1 << 20, "{bytes}");
    }
    assert!(it.is_served("read") && it.is_served("k19") && it.find("k0").is_none());
    assert_eq!(it.cache.counts.on_disk()[0], files(&folder).len() as u64);
}

#[test]
fn an_owner_is_bounded_wherever_its_bodies_are() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Fixture::with(&folder, |settings| settings.partition = Some(500 << 10));
    let it = start();
    for index in 0..5 {
        it.put_for(&format!("k{index}"), &[], "acme", TTL, LARGE);
    }
    assert_eq!(it.cache.counts.on_disk()[0], 2);
    it.caches.finish();
    drop(it);
    let it = start();
    it.put_for("next", &[], "acme", TTL, LARGE);
    assert!(it.is_served("next") && it.is_served("k4") && it.find("k3").is_none());
    assert_eq!(it.cache.purge_partition("acme"), 2);
}

#[test]
fn a_damaged_file_is_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let it = Fixture::new(&folder);
    it.put("flipped", &[]);
    let file = files(&folder).pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[100_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let stored = it.on_disk("flipped");
    // What is before it is as it was.
    assert_eq!(read(stored.read(0..65_536, None)).unwrap(), body_of("flipped")[..65_536]);
    let error = read(stored.read(0..stored.length(), None)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(it.find("flipped").is_none());
    it.cache.settle();
    assert!(files(&folder).is_empty());
    // Cut while it runs, and before it begins.
    it.put("cut", &[]);
    let file = files(&folder).pop().unwrap();
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(150_000).unwrap();
    let stored = it.on_disk("cut");
    assert!(read(stored.read(140_000..160_000, None)).is_err() && it.find("cut").is_none());
    it.put("cut", &[]);
    it.put("whole", &[]);
    let file = it.cache.disk.as_ref().unwrap().shared.file(it.on_disk("cut").id());
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(150_000).unwrap();
    it.caches.finish();
    drop(it);
    fs::write(folder.path().join("bodies/00/00000000000fff00"), "half").unwrap();
    let it = Fixture::new(&folder);
    assert!(it.find("cut").is_none() && it.is_served("whole"));
    assert_eq!(files(&folder).len(), 1);
}

#[test]
fn a_damaged_index_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let it = Fixture::new(&folder);
    it.put("a", &[]);
    it.caches.finish();
    drop(it);
    fs::write(
        folder.path().join("index.db"),
        "not an index, and long enough to be read as one".repeat(50),
    )
    .unwrap();
    let it = Fixture::new(&folder);
    assert!(it.find("a").is_none() && files(&folder).is_empty());
    it.put("a", &[]);
    assert!(it.is_served("a"));
    // A row that is not as it was written is none.
    it.caches.finish();
    drop(it);
    let index = rusqlite::Connection::open(folder.path().join("index.db")).unwrap();
    index.execute("UPDATE objects SET status = 404", []).unwrap();
    drop(index);
    let it = Fixture::new(&folder);
    assert!(it.find("a").is_none() && files(&folder).is_empty());
}

#[test]
fn what_is_over_is_not_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let it = Fixture::new(&folder);
    it.put_for("short", &[], "", 300_000_000, LARGE);
    it.put("long", &[]);
    assert_eq!(files(&folder).len(), 2);
    std::thread::sleep(Duration::from_millis(300));
    assert!(it.find("short").is_none());
    it.cache.settle();
    assert_eq!(files(&folder).len(), 1);
    it.caches.finish();
    drop(it);
    let it = Fixture::new(&folder);
    assert!(it.find("short").is_none() && it.is_served("long"));
}

#[test]
fn a_folder_that_cannot_be_written_costs_memory_alone() {
    let folder = tempfile::tempdir().unwrap();
    let it = Fixture::new(&folder);
    fs::remove_dir_all(folder.path().join("bodies")).unwrap();
    it.put("a", &[]);
    assert!(it.find("a").unwrap().bytes().is_some());
    assert_eq!(it.cache.counts.on_disk(), [0, 0]);
}

#[test]
fn a_folder_has_one_cache_and_comes_along_when_its_bounds_change() {
    let folder = tempfile::tempdir().unwrap();
    let it = Fixture::new(&folder);
    it.put("a", &[]);
    let other = Caches::new(&Arc::default(), &Arc::default());
    let error = other.prepare(&it.cache.settings).unwrap_err();
    assert_eq!(error.to_string(), "another process uses it");
    let changed = Settings { memory: 128 << 20, ..Settings::clone(&it.cache.settings) };
    let changed = Arc::new(changed);
    it.caches.prepare(&changed).unwrap();
    it.caches.keep(&[Arc::clone(&changed)]);
    let cache = it.caches.of(&changed);
    assert!(!Arc::ptr_eq(&cache, &it.cache));
    let (space, caches) = (cache.space("a"), it.caches);
    let it = Fixture { caches, cache, space };
    assert!(it.is_served("a"));
    // Not configured any more: the next one may have it.
    it.caches.keep(&[]);
    assert!(other.prepare(&it.cache.settings).is_ok());
}
