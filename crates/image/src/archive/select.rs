//! Which images of a foreign archive are meant, where it has them for several platforms.

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType, ToDockerV2S2};

use super::documents::{self, DOCKER, DockerImage, INDEX};
use super::members::Members;
use super::{ArchiveError, list_of};
use crate::configuration::Configuration;
use crate::{Digest, Platform, Reference};

/// Bounds the images of an archive and the platforms of an index.
const DESCRIPTORS_MAX: usize = 10_000;
/// Bounds an index within an index. Docker's archives have two: the archive's own, and one for platforms.
const INDEX_DEPTH_MAX: usize = 4;
/// Marks what is about an image and none itself, such as provenance. Docker: BuildKit, `attestation/const.go`.
const ATTESTATION: &str = "vnd.docker.reference.type";

/// An image to load.
pub(super) enum Chosen {
    Oci {
        digest: Digest,
        manifest: Vec<u8>,
        names: Vec<Reference>,
    },
    Docker {
        image: DockerImage,
        config: Vec<u8>,
        names: Vec<Reference>,
    },
}

/// A manifest that an index points to.
struct Candidate {
    descriptor: Descriptor,
    platform: Platform,
}

/// Returns the images that are meant, each once, for the platform `wanted` or else for WebAssembly.
pub(super) fn images(
    members: &Members,
    wanted: Option<&Platform>,
) -> Result<Vec<Chosen>, ArchiveError> {
    let selection = Selection { members, wanted };
    if members.has(INDEX) {
        selection.oci()
    } else if members.has(DOCKER) {
        selection.docker()
    } else {
        Err(ArchiveError::NoImages)
    }
}

/// Returns how well a platform suits, the least best.
///
/// WebAssembly is called `wasi/wasm` by containerd's shims and us, `wasip1/wasm` by Go and newer containerd, `wasi/wasm32` by Docker Desktop.
fn rank(platform: &Platform, wanted: Option<&Platform>) -> Option<usize> {
    const KNOWN: [(&str, &str); 4] = [
        ("wasi", "wasm"),
        ("wasip1", "wasm"),
        ("wasi", "wasm32"),
        ("wasip1", "wasm32"),
    ];
    if let Some(wanted) = wanted {
        return (platform == wanted).then_some(0);
    }
    let pair = (platform.os.as_str(), platform.architecture.as_str());
    let is_wasm = matches!(pair.1, "wasm" | "wasm32");
    let known = KNOWN.iter().position(|known| *known == pair);
    known.or_else(|| is_wasm.then_some(KNOWN.len()))
}

struct Selection<'run> {
    members: &'run Members,
    wanted: Option<&'run Platform>,
}

impl Selection<'_> {
    fn oci(&self) -> Result<Vec<Chosen>, ArchiveError> {
        let index: ImageIndex =
            documents::parse(INDEX, &self.members.file(INDEX, INDEX)?.bytes()?)?;
        let mut chosen: BTreeMap<Digest, (Descriptor, Vec<Reference>)> = BTreeMap::new();
        for (label, group) in groups(&index) {
            let mut candidates = Vec::new();
            for descriptor in &group {
                self.candidates(descriptor, INDEX, INDEX_DEPTH_MAX, &mut candidates)?;
            }
            for candidate in self.best(label.as_deref(), candidates)? {
                let digest = digest(&candidate.descriptor, INDEX)?;
                let names = group.iter().flat_map(documents::names);
                chosen
                    .entry(digest)
                    .or_insert((candidate.descriptor, Vec::new()))
                    .1
                    .extend(names);
            }
        }
        let chosen = chosen.into_iter().map(|(digest, (descriptor, mut names))| {
            names.sort();
            names.dedup();
            let manifest = self.document(&descriptor, INDEX)?;
            Ok(Chosen::Oci {
                digest,
                manifest,
                names,
            })
        });
        chosen.collect()
    }

    /// Adds the manifests that a descriptor leads to.
    fn candidates(
        &self,
        descriptor: &Descriptor,
        document: &str,
        depth_left: usize,
        found: &mut Vec<Candidate>,
    ) -> Result<(), ArchiveError> {
        let is_attestation = descriptor
            .annotations()
            .as_ref()
            .is_some_and(|it| it.contains_key(ATTESTATION));
        if is_attestation {
            return Ok(());
        }
        if is(descriptor, &MediaType::ImageIndex) {
            let name = blob_name(descriptor, document)?;
            let too_deep = || malformed(document, "it is an index within an index without end");
            let depth_left = depth_left.checked_sub(1).ok_or_else(too_deep)?;
            let index: ImageIndex = documents::parse(&name, &self.document(descriptor, document)?)?;
            limit(index.manifests().len() + found.len())?;
            return index
                .manifests()
                .iter()
                .try_for_each(|descriptor| self.candidates(descriptor, &name, depth_left, found));
        }
        if !is(descriptor, &MediaType::ImageManifest) {
            let reason = format!("`{}` is no image", descriptor.media_type());
            return Err(malformed(document, &reason));
        }
        let platform = match descriptor.platform() {
            Some(platform) => Platform {
                os: platform.os().to_string(),
                architecture: platform.architecture().to_string(),
            },
            None => self.platform_of(descriptor, document)?,
        };
        found.push(Candidate {
            descriptor: descriptor.clone(),
            platform,
        });
        Ok(())
    }

    /// Returns the platform that an image's configuration says.
    fn platform_of(
        &self,
        descriptor: &Descriptor,
        document: &str,
    ) -> Result<Platform, ArchiveError> {
        let name = blob_name(descriptor, document)?;
        let manifest: ImageManifest =
            documents::parse(&name, &self.document(descriptor, document)?)?;
        if let MediaType::Other(kind) = manifest.config().media_type()
            && !is(manifest.config(), &MediaType::ImageConfig)
        {
            return Err(malformed(
                &name,
                &format!("it is no image, its configuration is `{kind}`"),
            ));
        }
        let config = self.document(manifest.config(), &name)?;
        Ok(configuration(&blob_name(manifest.config(), &name)?, &config)?.platform)
    }

    /// Returns those that are meant: one of a name, all that suit of those without.
    fn best(
        &self,
        label: Option<&str>,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<Candidate>, ArchiveError> {
        let found: Vec<Platform> = candidates.iter().map(|it| it.platform.clone()).collect();
        let mut suiting: Vec<(usize, Candidate)> = candidates
            .into_iter()
            .filter_map(|it| Some((rank(&it.platform, self.wanted)?, it)))
            .collect();
        if suiting.is_empty() && !found.is_empty() {
            let image = label.map_or("the image".to_owned(), |label| format!("image `{label}`"));
            return Err(self.unsuited(image, &found));
        }
        suiting.sort_by_key(|(rank, _)| *rank);
        let best = suiting.first().map(|(rank, _)| *rank);
        let is_meant = |rank: usize| label.is_none() && self.wanted.is_none() || Some(rank) == best;
        let meant = suiting
            .into_iter()
            .filter(|(rank, _)| is_meant(*rank))
            .map(|(_, it)| it);
        Ok(match label {
            Some(_) => meant.take(1).collect(),
            None => meant.collect(),
        })
    }

    fn docker(&self) -> Result<Vec<Chosen>, ArchiveError> {
        let bytes = self.members.file(DOCKER, DOCKER)?.bytes()?;
        let images: Vec<DockerImage> = documents::parse(DOCKER, &bytes)?;
        limit(images.len())?;
        images
            .into_iter()
            .map(|image| self.docker_image(image))
            .collect()
    }

    fn docker_image(&self, image: DockerImage) -> Result<Chosen, ArchiveError> {
        let config = self.members.file(&image.config, DOCKER)?.bytes()?;
        let platform = configuration(&image.config, &config)?.platform;
        let tags = image.repo_tags.iter().flatten();
        let names = tags
            .map(|tag| tag.parse())
            .collect::<Result<Vec<Reference>, _>>()
            .map_err(|error| malformed(DOCKER, &error.to_string()))?;
        if rank(&platform, self.wanted).is_none() {
            let label = names
                .first()
                .map_or("the image".to_owned(), |name| format!("image `{name}`"));
            return Err(self.unsuited(label, &[platform]));
        }
        Ok(Chosen::Docker {
            image,
            config,
            names,
        })
    }

    fn unsuited(&self, image: String, found: &[Platform]) -> ArchiveError {
        ArchiveError::Platform {
            image,
            wanted: self.wanted.cloned().unwrap_or_default().to_string(),
            found: list_of(found),
        }
    }

    /// Returns the small blob that a descriptor of `document` points to, verified.
    fn document(&self, descriptor: &Descriptor, document: &str) -> Result<Vec<u8>, ArchiveError> {
        let name = blob_name(descriptor, document)?;
        let member = self.members.file(&name, document)?;
        check_size(&name, document, member.size_bytes, descriptor.size())?;
        let bytes = member.bytes()?;
        let found = Digest::of(&bytes);
        match found == digest(descriptor, document)? {
            true => Ok(bytes),
            false => Err(ArchiveError::WrongDigest {
                member: name,
                found,
            }),
        }
    }
}

/// Returns the entries of an index that belong together: those of one name, each index alone, and all without a name.
fn groups(index: &ImageIndex) -> Vec<(Option<String>, Vec<Descriptor>)> {
    let mut groups: Vec<(Option<String>, Vec<Descriptor>)> = Vec::new();
    for descriptor in index.manifests().iter().take(DESCRIPTORS_MAX) {
        let label = documents::label(descriptor);
        let is_index = is(descriptor, &MediaType::ImageIndex);
        let mut same = groups
            .iter_mut()
            .filter(|(other, group)| *other == label && !is(&group[0], &MediaType::ImageIndex));
        match same.next() {
            Some((_, group)) if !is_index => group.push(descriptor.clone()),
            _ => groups.push((label, vec![descriptor.clone()])),
        }
    }
    groups
}

/// Returns whether a descriptor is of this kind, in OCI's or Docker's words.
fn is(descriptor: &Descriptor, kind: &MediaType) -> bool {
    let found = descriptor.media_type();
    found == kind
        || kind
            .to_docker_v2s2()
            .is_ok_and(|docker| found.as_ref() == docker)
}

fn limit(count: usize) -> Result<(), ArchiveError> {
    match count > DESCRIPTORS_MAX {
        true => Err(ArchiveError::TooLarge {
            max: DESCRIPTORS_MAX as u64,
            unit: "images",
        }),
        false => Ok(()),
    }
}

fn digest(descriptor: &Descriptor, document: &str) -> Result<Digest, ArchiveError> {
    let text = descriptor.digest().as_ref();
    text.parse()
        .map_err(|error: crate::ParseDigestError| malformed(document, &error.to_string()))
}

fn blob_name(descriptor: &Descriptor, document: &str) -> Result<String, ArchiveError> {
    Ok(format!(
        "blobs/sha256/{}",
        digest(descriptor, document)?.hex()
    ))
}

pub(super) fn check_size(
    member: &str,
    document: &str,
    found: u64,
    expected: u64,
) -> Result<(), ArchiveError> {
    if found == expected {
        return Ok(());
    }
    Err(ArchiveError::WrongSize {
        member: member.to_owned(),
        document: document.to_owned(),
        found,
        expected,
    })
}

pub(super) fn configuration(name: &str, bytes: &[u8]) -> Result<Configuration, ArchiveError> {
    Configuration::from_bytes(bytes).map_err(|reason| malformed(name, &reason))
}

pub(super) fn malformed(document: &str, reason: &str) -> ArchiveError {
    ArchiveError::Malformed {
        document: document.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().expect("it is a platform")
    }

    #[test]
    fn every_word_for_wasm_suits_and_ours_best() {
        let order = [
            "wasi/wasm",
            "wasip1/wasm",
            "wasi/wasm32",
            "wasip1/wasm32",
            "js/wasm",
        ];
        let ranks: Vec<_> = order.iter().map(|it| rank(&platform(it), None)).collect();
        assert_eq!(ranks, (0..5).map(Some).collect::<Vec<_>>());
        assert_eq!(rank(&platform("linux/amd64"), None), None);
        let wanted = platform("linux/amd64");
        assert_eq!(rank(&wanted, Some(&wanted)), Some(0));
        assert_eq!(rank(&platform("wasi/wasm"), Some(&wanted)), None);
    }
}
