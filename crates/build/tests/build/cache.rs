//! Caching and reproducibility.

use std::fs;

use minke_build::{BuildOptions, CachePolicy};

use crate::Bench;

const FILE: &str =
    "FROM scratch\nWORKDIR /app\nCOPY a /app/\nENV A=1\nCOPY b /app/\nCMD [\"/app/a\"]\n";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("a", "a").write("b", "b");
    bench
}

#[test]
fn a_build_that_changes_nothing_makes_nothing() {
    let bench = bench();
    let first = bench.build(FILE);
    let second = bench.build(FILE);
    assert_eq!(first.built.image, second.built.image);
    insta::assert_snapshot!(second.events.join("\n"), @r#"
    1/6 FROM scratch
    1 done
    2/6 WORKDIR /app
    2 cached with a layer
    3/6 COPY a /app/
    3 cached with a layer
    4/6 ENV A=1
    4 done
    5/6 COPY b /app/
    5 cached with a layer
    6/6 CMD ["/app/a"]
    6 done
    "#);
    assert_eq!(
        (
            second.built.layers_made_count,
            second.built.layers_cached_count
        ),
        (0, 3)
    );
}

#[test]
fn a_changed_file_renews_its_layer_and_those_above() {
    let bench = bench();
    bench.build(FILE);
    bench.write("b", "changed");
    let outcome = bench.build(FILE);
    assert_eq!(
        (
            outcome.built.layers_made_count,
            outcome.built.layers_cached_count
        ),
        (1, 2)
    );
    bench.write("a", "changed");
    let outcome = bench.build(FILE);
    assert_eq!(
        (
            outcome.built.layers_made_count,
            outcome.built.layers_cached_count
        ),
        (2, 1)
    );
}

#[test]
fn a_touched_file_renews_nothing() {
    let bench = bench();
    let first = bench.build(FILE);
    crate::set_time(&bench.context().join("a"), 1_800_000_000);
    let second = bench.build(FILE);
    assert_eq!(first.built.image.id, second.built.image.id);
}

#[test]
fn equal_inputs_make_equal_images_in_any_store() {
    let (one, other) = (bench(), bench());
    assert_eq!(
        one.build(FILE).built.image.manifest_digest,
        other.build(FILE).built.image.manifest_digest
    );
    let renewed = BuildOptions {
        cache: CachePolicy::Renew,
        ..one.options("test")
    };
    let again = one.try_build(&renewed).expect("the build works");
    assert_eq!(again.built.layers_cached_count, 0);
    assert_eq!(
        again.built.image.manifest_digest,
        other.build(FILE).built.image.manifest_digest
    );
}

#[test]
fn an_image_is_as_old_as_its_newest_file_or_as_asked() {
    let bench = bench();
    let outcome = bench.build(FILE);
    assert_eq!(outcome.built.image.created_s, Some(1_700_000_000));
    let options = BuildOptions {
        source_date_epoch_s: Some(1_000_000_000),
        ..bench.options("test")
    };
    let outcome = bench.try_build(&options).expect("the build works");
    assert_eq!(outcome.built.image.created_s, Some(1_000_000_000));
    let listing = bench.listing(&outcome.built.image);
    assert!(
        listing
            .lines()
            .filter(|line| *line != "--")
            .all(|line| line.contains("2001-09-09 01:46:40")),
        "{listing}"
    );
}

#[test]
fn times_do_not_matter_when_one_is_given() {
    let digest = |seconds| {
        let bench = bench();
        crate::set_time(&bench.context().join("a"), seconds);
        bench.write("Balenafile", FILE);
        let options = BuildOptions {
            source_date_epoch_s: Some(1),
            ..bench.options("test")
        };
        bench
            .try_build(&options)
            .expect("the build works")
            .built
            .image
            .manifest_digest
    };
    assert_eq!(digest(5), digest(1_650_000_000));
}

#[test]
fn a_cached_layer_whose_blob_is_gone_is_made_again() {
    let bench = bench();
    let first = bench.build(FILE);
    bench
        .store()
        .remove("test", minke_image::Force::No)
        .expect("the image can be removed");
    for layer in &first.built.image.layers {
        assert!(
            bench.store().blob_path(&layer.digest).exists(),
            "it is cached"
        );
    }
    bench
        .store()
        .prune_build_cache(minke_image::PrunedSteps::All, None)
        .expect("the cache can be pruned");
    for layer in &first.built.image.layers {
        assert!(!bench.store().blob_path(&layer.digest).exists());
    }
    let second = bench.build(FILE);
    assert_eq!(second.built.image, first.built.image);
    fs::remove_file(
        bench
            .store()
            .blob_path(&second.built.image.layers[1].digest),
    )
    .expect("it is there");
    let third = bench.build(FILE);
    assert_eq!(
        (
            third.built.layers_made_count,
            third.built.layers_cached_count
        ),
        (1, 2)
    );
}

#[test]
fn arguments_are_part_of_what_is_cached_where_they_matter() {
    let bench = bench();
    bench.write(
        "Balenafile",
        "FROM scratch\nARG WHO=a\nCOPY $WHO /x\nLABEL who=$WHO\n",
    );
    let with = |value: &str| {
        let options = BuildOptions {
            arguments: vec![("WHO".into(), value.into())],
            ..bench.options("test")
        };
        bench.try_build(&options).expect("the build works").built
    };
    assert_eq!(with("a").layers_made_count, 1);
    let other = with("b");
    assert_eq!(
        (
            other.layers_made_count,
            other.image.config.labels["who"].as_str()
        ),
        (1, "b")
    );
    assert_eq!(with("a").layers_made_count, 0);
}
