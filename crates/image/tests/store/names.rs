//! Finding and removing images by what people type.

use minke_image::{Force, StoreError};

use crate::{Bench, name};

#[test]
fn an_image_is_found_by_name_id_prefix_and_digest() {
    let bench = Bench::new();
    let image = bench.image("Hello", "1");
    let short = image.id.short();
    let digest = format!("hello@{}", image.manifest_digest);
    let texts = [
        "hello",
        "hello:latest",
        "HELLO",
        "docker.io/library/hello",
        &short,
        &short[..2],
        &digest,
    ];
    for text in texts
        .into_iter()
        .chain([image.id.to_string().as_str(), &image.id.hex()])
    {
        assert_eq!(bench.store.image(text).expect(text), image, "{text}");
    }
}

#[test]
fn what_is_not_there_names_the_nearest() {
    let bench = Bench::new();
    bench.image("hello:1", "1");
    let hint = |wanted: &str| {
        bench
            .store
            .image(wanted)
            .expect_err("there is none")
            .hint()
            .unwrap_or_default()
    };
    assert_eq!(hint("helo:1"), "did you mean `hello:1`?");
    assert_eq!(hint("hello"), "did you mean `hello:1`?");
    assert!(hint("quite-another").contains("minke build -t quite-another"));
}

#[test]
fn texts_that_cannot_be_names_say_so() {
    let bench = Bench::new();
    let error = bench.store.image("a b").expect_err("there is none");
    assert!(matches!(error, StoreError::Reference(_)), "{error}");
    assert!(!error.is_not_found());
}

#[test]
fn a_prefix_of_two_ids_is_ambiguous() {
    let bench = Bench::new();
    let ids: Vec<String> = (0..17)
        .map(|number| {
            bench
                .image(&format!("i{number}"), &number.to_string())
                .id
                .hex()
        })
        .collect();
    let shared = |digit: &str| ids.iter().filter(|id| id.starts_with(digit)).count();
    let digits: Vec<String> = (0..16).map(|digit| format!("{digit:x}")).collect();
    let digit = digits
        .iter()
        .find(|digit| shared(digit) > 1)
        .expect("17 ids have 16 first digits");
    let error = bench.store.image(digit).expect_err("it is ambiguous");
    assert!(
        matches!(error, StoreError::Ambiguous { count, .. } if count == shared(digit)),
        "{error}"
    );
}

#[test]
fn removing_the_last_name_removes_the_image_and_its_files() {
    let bench = Bench::new();
    let image = bench.image("one", "1");
    bench
        .store
        .tag(&image.manifest_digest, &name("two:2"))
        .expect("a name can be added");
    bench
        .store
        .root_layers(&image)
        .expect("the layers are there");
    let removed = bench
        .store
        .remove("one", Force::No)
        .expect("a name can be removed");
    assert_eq!(
        (removed.untagged, removed.deleted),
        (vec![name("one")], None)
    );
    let removed = bench
        .store
        .remove("two:2", Force::No)
        .expect("a name can be removed");
    assert_eq!(
        (removed.untagged, removed.deleted),
        (vec![name("two:2")], Some(image.id))
    );
    assert!(removed.freed_bytes > 0);
    assert_eq!(bench.blobs_count(), 0);
    let left: Vec<_> = std::fs::read_dir(bench.directory.path().join("layers"))
        .expect("it is there")
        .flatten()
        .collect();
    assert!(
        left.iter().all(|entry| entry.file_name() == ".lock"),
        "{left:?}"
    );
}

#[test]
fn removing_by_id_needs_force_when_there_are_several_names() {
    let bench = Bench::new();
    let image = bench.image("one", "1");
    bench
        .store
        .tag(&image.manifest_digest, &name("two"))
        .expect("a name can be added");
    let error = bench
        .store
        .remove(&image.id.short(), Force::No)
        .expect_err("it has two names");
    assert!(
        matches!(error, StoreError::SeveralNames { tags: 2, .. }),
        "{error}"
    );
    let removed = bench
        .store
        .remove(&image.id.short(), Force::Yes)
        .expect("it can be forced");
    assert_eq!(
        (removed.untagged.len(), removed.deleted),
        (2, Some(image.id))
    );
}

#[test]
fn a_pinned_image_is_kept_until_its_container_is_gone() {
    let bench = Bench::new();
    let image = bench.image("one", "1");
    bench
        .store
        .pin(&image.manifest_digest, "container web")
        .expect("it is there");
    let error = bench
        .store
        .remove("one", Force::No)
        .expect_err("it is used");
    assert_eq!(error.to_string(), "image `one` is used by container web");
    let removed = bench
        .store
        .remove("one", Force::Yes)
        .expect("its name can be forced away");
    assert_eq!((removed.untagged.len(), removed.deleted), (1, None));
    let unnamed = bench
        .store
        .image(&image.id.short())
        .expect("it is still there");
    bench
        .store
        .root_layers(&unnamed)
        .expect("its layers are too");
    assert_eq!(
        bench.store.pins().expect("they can be listed"),
        [("container web".to_owned(), image.manifest_digest)]
    );
    bench
        .store
        .unpin("container web")
        .expect("it can be unpinned");
    let removed = bench
        .store
        .remove_unnamed(&unnamed)
        .expect("it can be removed");
    assert_eq!(removed.deleted, Some(image.id));
    assert!(
        bench.store.pin(&image.manifest_digest, "late").is_err(),
        "what is gone cannot be pinned"
    );
}

#[test]
fn layers_that_two_images_share_stay_with_the_second() {
    let bench = Bench::new();
    let one = bench.image("one", "same");
    let lease = bench.store.lease().expect("a lease can be had");
    let other = minke_image::NewImage {
        layers: one.layers,
        ..minke_image::NewImage::default()
    };
    let other = lease
        .commit_image(&other, &[name("other")], 8)
        .expect("an image can be committed");
    drop(lease);
    bench
        .store
        .remove("one", Force::No)
        .expect("it can be removed");
    bench
        .store
        .root_layers(&other)
        .expect("the layer is still there");
}
