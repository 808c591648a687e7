//! Which crate may know which: dependencies run downward only.

use std::process::Stdio;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use crate::layout::root;
use crate::process::{cargo, read};

/// A crate, and the crates of ours that it may depend on.
struct Layer {
    name: &'static str,
    may_know: &'static [&'static str],
}

const fn layer(name: &'static str, may_know: &'static [&'static str]) -> Layer {
    Layer { name, may_know }
}

/// From the bottom up, as in the table of `ARCHITECTURE.md`.
const LAYERS: &[Layer] = &[
    layer("minke-abi", &[]),
    layer("minke-archive", &[]),
    layer("minke-balenafile", &[]),
    layer("minke-blockstore", &[]),
    layer("minke-ext4", &[]),
    layer("minke-glue", &["minke-abi"]),
    layer(
        "minke-kernel",
        &["minke-abi", "minke-archive", "minke-ext4"],
    ),
    layer(
        "minke-disk",
        &["minke-archive", "minke-blockstore", "minke-ext4"],
    ),
    layer("minke-sdk", &[]),
    layer("minke-image", &["minke-disk", "minke-ext4"]),
    layer(
        "minke-sandbox",
        &[
            "minke-abi",
            "minke-archive",
            "minke-disk",
            "minke-ext4",
            "minke-glue",
            "minke-kernel",
        ],
    ),
    layer(
        "minke-engine",
        &[
            "minke-archive",
            "minke-disk",
            "minke-image",
            "minke-sandbox",
        ],
    ),
    layer(
        "minke-build",
        &["minke-balenafile", "minke-image", "minke-engine"],
    ),
    layer(
        "minke",
        &[
            "minke-engine",
            "minke-build",
            "minke-disk",
            "minke-ext4",
            "minke-sdk",
        ],
    ),
    layer("xtask", &["minke-archive", "minke-sdk"]),
];

/// Crates of others that only these of ours may use.
const WALLED: &[(&str, &[&str])] = &[
    ("wasmtime", &["minke-sandbox"]),
    ("clap", &["minke"]),
    ("clap_mangen", &["minke"]),
    ("anyhow", &["xtask"]),
    ("rusqlite", &["minke-image"]),
];

/// All that the crates without a host may use: none of these asks for one.
const PURE: &[&str] = &[
    "minke-abi",
    "minke-archive",
    "minke-balenafile",
    "minke-blockstore",
    "minke-ext4",
    "minke-glue",
    "minke-kernel",
];
const PURE_MAY_USE: &[&str] = &["bitflags", "blake3", "smallvec", "strsim", "thiserror"];

pub fn check() -> Result<Vec<Finding>> {
    let mut command = cargo();
    command.args(["metadata", "--no-deps", "--format-version=1", "--offline"]);
    let text = read(command.current_dir(root()).stdin(Stdio::null()))?;
    let metadata: Value = serde_json::from_str(&text).context("cargo's metadata is no JSON")?;
    Ok(check_packages(
        metadata["packages"]
            .as_array()
            .map_or(&[][..], Vec::as_slice),
    ))
}

fn check_packages(packages: &[Value]) -> Vec<Finding> {
    packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Value) -> Vec<Finding> {
    let name = package["name"].as_str().unwrap_or_default();
    let finding = |message| Finding {
        path: format!("{name}/Cargo.toml").into(),
        line: 0,
        message,
    };
    let Some(layer) = LAYERS.iter().find(|it| it.name == name) else {
        return vec![finding(format!(
            "`{name}` has no place in the table of layers"
        ))];
    };
    normal_dependencies(package)
        .filter_map(|it| refusal(layer, it))
        .map(finding)
        .collect()
}

/// What is linked into the crate; tests and build scripts may use what they like.
fn normal_dependencies(package: &Value) -> impl Iterator<Item = &str> {
    let all = package["dependencies"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    all.iter()
        .filter(|it| it["kind"].is_null())
        .filter_map(|it| it["name"].as_str())
}

/// Why the layer may not depend on `dependency`, if it may not.
fn refusal(layer: &Layer, dependency: &str) -> Option<String> {
    let is_ours = LAYERS.iter().any(|it| it.name == dependency);
    if is_ours {
        let allowed = layer.may_know.contains(&dependency);
        return (!allowed).then(|| {
            format!(
                "`{}` may not know `{dependency}`: it is not below it",
                layer.name
            )
        });
    }
    let wall = WALLED.iter().find(|(name, _)| *name == dependency);
    if wall.is_some_and(|(_, users)| !users.contains(&layer.name)) {
        return Some(format!(
            "`{}` may not use `{dependency}`: another crate walls it off",
            layer.name
        ));
    }
    let is_impure = PURE.contains(&layer.name) && !PURE_MAY_USE.contains(&dependency);
    is_impure.then(|| {
        format!(
            "`{}` may not use `{dependency}`: it runs without a host",
            layer.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, dependency: &str, kind: Value) -> usize {
        let package = serde_json::json!({
            "name": name,
            "dependencies": [{ "name": dependency, "kind": kind }],
        });
        check_packages(&[package]).len()
    }

    #[test]
    fn knowledge_runs_downward_only() {
        assert_eq!(check("minke-kernel", "minke-abi", Value::Null), 0);
        assert_eq!(check("minke-abi", "minke-kernel", Value::Null), 1);
        assert_eq!(check("minke", "minke-kernel", Value::Null), 1);
    }

    #[test]
    fn only_the_sandbox_links_the_runtime() {
        assert_eq!(check("minke-sandbox", "wasmtime", Value::Null), 0);
        assert_eq!(check("minke-engine", "wasmtime", Value::Null), 1);
    }

    #[test]
    fn a_crate_without_a_host_uses_nothing_that_asks_for_one() {
        assert_eq!(check("minke-kernel", "bitflags", Value::Null), 0);
        assert_eq!(check("minke-kernel", "rustix", Value::Null), 1);
        assert_eq!(check("minke-kernel", "proptest", "dev".into()), 0);
    }

    #[test]
    fn a_crate_outside_the_table_is_found() {
        assert_eq!(check("minke-new", "bitflags", Value::Null), 1);
    }

    #[test]
    fn the_workspace_as_it_is_keeps_its_layers() {
        assert_eq!(super::check().expect("cargo's metadata"), []);
    }
}
