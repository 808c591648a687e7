//! Actions on files and directories.

use std::ffi::CString;
use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Args, arg, number};

/// Copies the named files, or stdin, to stdout.
pub fn cat(args: Args) -> io::Result<()> {
    if args.is_empty() {
        return io::copy(&mut io::stdin(), &mut io::stdout()).map(drop);
    }
    for name in args {
        io::copy(&mut File::open(name)?, &mut io::stdout())?;
    }
    Ok(())
}

pub fn write(args: Args) -> io::Result<()> {
    fs::write(arg(args, 0), arg(args, 1))
}

pub fn append(args: Args) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(arg(args, 0))?;
    file.write_all(arg(args, 1).as_bytes())
}

pub fn create_new(args: Args) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(arg(args, 0))
        .map(drop)
}

pub fn copy(args: Args) -> io::Result<()> {
    let size = fs::copy(arg(args, 0), arg(args, 1))?;
    println!("{size}");
    Ok(())
}

/// Writes MIB mebibytes, or as many as there is room for.
pub fn fill(args: Args) -> io::Result<()> {
    let mut file = File::create(arg(args, 0))?;
    let block = vec![0x5a; 1 << 20];
    for mib in 0..number(args, 1) {
        if let Err(error) = file.write_all(&block) {
            println!("full after {mib}");
            return Err(error);
        }
    }
    println!("written");
    Ok(())
}

/// Says how many lines a file has, and appends COUNT more; each is durable before it is printed too.
pub fn durable_ticks(args: Args) -> io::Result<()> {
    let path = arg(args, 0);
    let found = fs::read_to_string(path).map_or(0, |text| text.lines().count());
    println!("found {found}");
    let mut file = File::options().append(true).create(true).open(path)?;
    for tick in 1..=number(args, 1) {
        writeln!(file, "tick {tick}")?;
        file.sync_data()?;
        println!("tick {tick}");
    }
    Ok(())
}

/// Prints the names in a directory, sorted, with `/` after directories and `@` after links.
pub fn list(args: Args) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(arg(args, 0))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let mark = if kind.is_dir() {
            "/"
        } else if kind.is_symlink() {
            "@"
        } else {
            ""
        };
        names.push(format!("{}{mark}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    names.iter().for_each(|name| println!("{name}"));
    Ok(())
}

/// Reads every file below a directory, following links, and prints how much there is.
pub fn walk(args: Args) -> io::Result<()> {
    let (mut files, mut bytes) = (0, 0);
    let mut pending = vec![Path::new(arg(args, 0)).to_path_buf()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            // A file may go away or become something else while we look.
            if let Ok(text) = fs::read(&path) {
                files += 1;
                bytes += text.len();
            }
        }
    }
    println!("{files} files {bytes} bytes");
    Ok(())
}

pub fn stat(args: Args) -> io::Result<()> {
    describe(&fs::metadata(arg(args, 0))?);
    Ok(())
}

pub fn lstat(args: Args) -> io::Result<()> {
    describe(&fs::symlink_metadata(arg(args, 0))?);
    Ok(())
}

fn describe(meta: &Metadata) {
    let kind = match meta.file_type() {
        it if it.is_dir() => "directory",
        it if it.is_symlink() => "symlink",
        it if it.is_file() => "file",
        _ => "other",
    };
    let modified = meta.modified().unwrap_or(UNIX_EPOCH);
    println!("{kind} {} {}", meta.len(), seconds(modified));
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

pub fn rename(args: Args) -> io::Result<()> {
    fs::rename(arg(args, 0), arg(args, 1))
}

pub fn link(args: Args) -> io::Result<()> {
    fs::hard_link(arg(args, 0), arg(args, 1))
}

pub fn symlink(args: Args) -> io::Result<()> {
    let [target, link] =
        [0, 1].map(|it| CString::new(arg(args, it)).expect("an argument has no NUL"));
    // SAFETY: both are strings that end with NUL.
    match unsafe { libc::symlink(target.as_ptr(), link.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

pub fn readlink(args: Args) -> io::Result<()> {
    println!("{}", fs::read_link(arg(args, 0))?.display());
    Ok(())
}

pub fn unlink(args: Args) -> io::Result<()> {
    fs::remove_file(arg(args, 0))
}

pub fn mkdir(args: Args) -> io::Result<()> {
    fs::create_dir(arg(args, 0))
}

pub fn rmdir(args: Args) -> io::Result<()> {
    fs::remove_dir(arg(args, 0))
}

/// Prints what is in a file from OFFSET on; a negative one counts from its end.
pub fn seek(args: Args) -> io::Result<()> {
    let mut file = File::open(arg(args, 0))?;
    let offset: i64 = arg(args, 1).parse().expect("an offset");
    let place = match u64::try_from(offset) {
        Ok(offset) => SeekFrom::Start(offset),
        Err(_) => SeekFrom::End(offset),
    };
    let place = file.seek(place)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    println!("{place} {text}");
    Ok(())
}

pub fn truncate(args: Args) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(arg(args, 0))?;
    file.set_len(number(args, 1))?;
    println!("{}", file.metadata()?.len());
    Ok(())
}

pub fn utimes(args: Args) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(arg(args, 0))?;
    let time = UNIX_EPOCH + Duration::from_secs(number(args, 1));
    file.set_times(FileTimes::new().set_accessed(time).set_modified(time))?;
    println!("{}", seconds(file.metadata()?.modified()?));
    Ok(())
}

/// Opens and reads FILE again and again, and counts what came of it.
pub fn cat_loop(args: Args) -> io::Result<()> {
    let (mut seen, mut failed) = (std::collections::BTreeMap::<Vec<u8>, u64>::new(), 0);
    for _ in 0..number(args, 1) {
        match fs::read(arg(args, 0)) {
            Ok(text) => *seen.entry(text).or_default() += 1,
            Err(_) => failed += 1,
        }
    }
    for (text, count) in seen {
        println!("{count} {}", String::from_utf8_lossy(&text).trim_end());
    }
    println!("{failed} failed");
    Ok(())
}
