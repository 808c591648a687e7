//! Files, directories, links and what is known about them.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::Outcome;

pub fn check(directory: &str) -> Outcome {
    let top = Path::new(directory).join("files");
    fs::create_dir_all(top.join("a/b"))?;
    contents(&top)?;
    links(&top)?;
    metadata(&top)?;
    let mut names: Vec<_> = fs::read_dir(&top)?
        .map(|it| it.map(|it| (it.file_name(), it.file_type().map(|it| it.is_dir()).ok())))
        .collect::<Result<_, _>>()?;
    names.sort();
    println!("names: {names:?}");
    fs::remove_dir_all(&top)?;
    println!(
        "gone: {:?}",
        fs::metadata(&top).map_err(|it| it.kind()).err()
    );
    Ok(())
}

fn contents(top: &Path) -> Outcome {
    let path = top.join("text");
    fs::write(&path, "one\ntwo\n")?;
    let mut appended = OpenOptions::new().append(true).open(&path)?;
    writeln!(appended, "three")?;
    let lines: Vec<_> = BufReader::new(File::open(&path)?)
        .lines()
        .collect::<Result<_, _>>()?;
    println!("lines: {lines:?}");
    let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
    file.seek(SeekFrom::Start(4))?;
    file.write_all(b"TWO")?;
    file.seek(SeekFrom::End(-6))?;
    let mut rest = String::new();
    file.read_to_string(&mut rest)?;
    let mut four = [0; 4];
    file.read_exact_at(&mut four, 3)?;
    println!("rest: {rest:?} {:?}", String::from_utf8_lossy(&four));
    file.set_len(3)?;
    println!(
        "cut: {:?} at {}",
        fs::read_to_string(&path)?,
        file.stream_position()?
    );
    file.sync_all()?;
    file.lock()?;
    println!("locked: {}", File::open(&path)?.try_lock_shared().is_err());
    file.unlock()?;
    println!("copied: {}", fs::copy(&path, top.join("copy"))?);
    fs::rename(top.join("copy"), top.join("a/moved"))?;
    println!(
        "moved: {} {}",
        top.join("copy").exists(),
        top.join("a/moved").exists()
    );
    let again = OpenOptions::new().write(true).create_new(true).open(&path);
    println!("again: {:?}", again.map_err(|it| it.kind()).err());
    println!(
        "full: {:?}",
        fs::remove_dir(top.join("a")).map_err(|it| it.kind()).err()
    );
    println!(
        "none: {:?}",
        File::open(top.join("none"))
            .map_err(|it| it.to_string())
            .err()
    );
    Ok(())
}

fn links(top: &Path) -> Outcome {
    symlink("text", top.join("link"))?;
    println!("link: {:?}", fs::read_link(top.join("link"))?);
    println!(
        "through: {}",
        fs::canonicalize(top.join("a/../link"))? == fs::canonicalize(top.join("text"))?
    );
    println!(
        "is: {}",
        fs::symlink_metadata(top.join("link"))?.is_symlink()
    );
    fs::hard_link(top.join("text"), top.join("a/b/hard"))?;
    println!("names: {}", fs::metadata(top.join("text"))?.nlink());
    symlink("loop", top.join("loop"))?;
    println!(
        "loop: {:?}",
        fs::metadata(top.join("loop"))
            .map_err(|it| it.raw_os_error())
            .err()
    );
    Ok(())
}

fn metadata(top: &Path) -> Outcome {
    let path = top.join("private");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .mode(0o600)
        .open(&path)?;
    println!("mode: {:o}", fs::metadata(&path)?.mode());
    fs::set_permissions(&path, Permissions::from_mode(0o4755))?;
    println!("mode: {:o}", fs::metadata(&path)?.permissions().mode());
    let time = UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    file.set_modified(time)?;
    let found = fs::metadata(&path)?;
    println!(
        "time: {}.{} {}",
        found.mtime(),
        found.mtime_nsec(),
        found.modified()? == time
    );
    println!("length: {} {}", found.len(), found.blocks());
    println!(
        "device: {}",
        File::open("/dev/null")?.metadata()?.rdev() != 0
    );
    Ok(())
}
