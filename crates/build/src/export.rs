//! Exporting: a build's result as an archive of an image, as a tar of its files, or as files in a directory.

mod directory;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use minke_image::archive::{self, ArchiveError, ArchiveForm, Export, SaveOptions};
use minke_image::tree::{FileId, Node, NodeKind, Tree};
use minke_image::{EntryMetadata, Image, Lease, NewImage, StoreError, WholeFile, records_of};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use crate::options::{Output, OutputKind};
use crate::origin::{RangeReader, TreeOrigin};

/// Why a result was not written where it should go.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write `{}`", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl ExportError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Io { source, .. }
                if source.raw_os_error() == Some(Errno::LOOP.raw_os_error()) =>
            {
                Some("a symbolic link is in the way: choose an empty directory".into())
            }
            Self::Io { .. } => Some("check `dest` of `--output`, and the disk".into()),
            Self::Archive(error) => error.hint(),
        }
    }

    fn at(path: &Path) -> impl Fn(io::Error) -> Self + Copy + '_ {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// Writes a result.
pub(crate) fn write(
    lease: &Lease<'_>,
    image: &NewImage,
    committed: Option<&Image>,
    output: &Output,
) -> Result<(), ExportError> {
    let path = &output.destination;
    match output.kind {
        OutputKind::Tar => {
            let origin = origin_of(lease, image, path)?;
            write_file(path, |file| {
                write_tar(&origin, file).map_err(ExportError::at(path))
            })
        }
        OutputKind::Local => directory::write(&origin_of(lease, image, path)?, path),
        OutputKind::Oci => write_archive(lease, committed, ArchiveForm::Oci, path),
        OutputKind::Docker => write_archive(lease, committed, ArchiveForm::Docker, path),
    }
}

fn origin_of(lease: &Lease<'_>, image: &NewImage, path: &Path) -> Result<TreeOrigin, ExportError> {
    let files = lease.store().layer_files(&image.layers)?;
    TreeOrigin::of_layers(Tree::read(&files)?).map_err(ExportError::at(path))
}

/// Writes a file that is there whole or not at all. A pipe or a terminal takes what comes.
fn write_file(
    path: &Path,
    write: impl FnOnce(&File) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let failed = ExportError::at(path);
    let is_stream =
        |kind: fs::FileType| kind.is_fifo() || kind.is_char_device() || kind.is_socket();
    if fs::metadata(path).is_ok_and(|metadata| is_stream(metadata.file_type())) {
        return write(&File::options().write(true).open(path).map_err(failed)?);
    }
    let whole = WholeFile::create(path).map_err(failed)?;
    write(whole.file())?;
    whole.publish().map_err(failed)
}

fn write_archive(
    lease: &Lease<'_>,
    committed: Option<&Image>,
    form: ArchiveForm,
    path: &Path,
) -> Result<(), ExportError> {
    let image = committed.expect("an image is in the store before it goes into an archive");
    let export = Export {
        names: image.tags.clone(),
        image: image.clone(),
    };
    let options = SaveOptions::new(form);
    lease
        .store()
        .save_file(&[export], &options, path, &archive::Silent)?;
    Ok(())
}

/// Writes all files as one tar.
fn write_tar(origin: &TreeOrigin, file: &File) -> io::Result<()> {
    let mut builder = Builder::new(BufWriter::new(file));
    let mut first: HashMap<FileId, &Path> = HashMap::new();
    for (path, node) in origin.tree.below(Path::new("")) {
        let id = origin.tree.linked(node);
        if let Some(before) = id.and_then(|id| first.get(&id)) {
            append(
                &mut builder,
                (path, node),
                EntryType::Link,
                Some(before),
                io::empty(),
            )?;
            continue;
        }
        first.extend(id.map(|id| (id, path)));
        let (kind, link) = match &node.kind {
            NodeKind::Directory => (EntryType::Directory, None),
            NodeKind::Symlink { target } => (EntryType::Symlink, Some(target.as_path())),
            NodeKind::File { .. } => (EntryType::Regular, None),
            // What it was made with is not kept.
            NodeKind::Special => continue,
        };
        append(
            &mut builder,
            (path, node),
            kind,
            link,
            reader_of(origin, node),
        )?;
    }
    builder.into_inner()?.flush()
}

fn append(
    builder: &mut Builder<impl Write>,
    (path, node): (&Path, &Node),
    kind: EntryType,
    link: Option<&Path>,
    content: impl Read,
) -> io::Result<()> {
    let mut header = header(&node.metadata);
    header.set_entry_type(kind);
    header.set_size(match (kind, &node.kind) {
        (EntryType::Regular, NodeKind::File { size_bytes, .. }) => *size_bytes,
        _ => 0,
    });
    // A hard link's attributes are the file's.
    let own = node.attributes.as_ref().filter(|_| kind != EntryType::Link);
    let attributes: Vec<(String, &[u8])> =
        own.into_iter().flat_map(|all| records_of(all)).collect();
    let mut records: Vec<(&str, &[u8])> = attributes
        .iter()
        .map(|(key, value)| (key.as_str(), *value))
        .collect();
    let name = match kind {
        EntryType::Directory => path.join(""),
        _ => path.to_owned(),
    };
    if header.set_path(&name).is_err() {
        records.push(("path", name.as_os_str().as_bytes()));
    }
    let link = link.map(|link| link.as_os_str().as_bytes());
    if let Some(link) = link.filter(|link| header.set_link_name_literal(link).is_err()) {
        records.push(("linkpath", link));
    }
    header.set_cksum();
    builder.append_pax_extensions(records)?;
    builder.append(&header, content)
}

fn header(metadata: &EntryMetadata) -> Header {
    let mut header = Header::new_ustar();
    header.set_mode(metadata.mode);
    header.set_uid(metadata.uid.into());
    header.set_gid(metadata.gid.into());
    header.set_mtime(metadata.mtime_s);
    header
}

/// Returns a file's content; nothing for everything else.
fn reader_of<'origin>(origin: &'origin TreeOrigin, node: &Node) -> Box<dyn Read + 'origin> {
    match node.kind {
        NodeKind::File {
            layer_index,
            offset_bytes,
            size_bytes,
        } => Box::new(RangeReader {
            file: &origin.files[layer_index].file,
            offset_bytes,
            rest_bytes: size_bytes,
        }),
        _ => Box::new(io::empty()),
    }
}
