//! Arguments that a build has without a declaration.
//!
//! Spec: Dockerfile reference, "Predefined ARGs", "Automatic platform ARGs in the global scope".

/// What a `FROM` sees without a declaration, and a stage with one. `TARGETSTAGE` is the name of the target, which the
/// build knows.
pub const PLATFORM_ARGUMENTS: [(&str, &str); 10] = [
    ("BUILDARCH", "wasm"),
    ("BUILDOS", "wasi"),
    ("BUILDOSVERSION", ""),
    ("BUILDPLATFORM", "wasi/wasm"),
    ("BUILDVARIANT", ""),
    ("TARGETARCH", "wasm"),
    ("TARGETOS", "wasi"),
    ("TARGETOSVERSION", ""),
    ("TARGETPLATFORM", "wasi/wasm"),
    ("TARGETVARIANT", ""),
];

/// The stage that is built; `default` without a name.
pub(crate) const TARGET_STAGE: &str = "TARGETSTAGE";

/// Arguments that `--build-arg` may give without a declaration: the commands of a build see them, and no image keeps
/// them.
pub const PREDEFINED_ARGUMENTS: [&str; 11] = [
    "ALL_PROXY",
    "FTP_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "SOURCE_DATE_EPOCH",
    "all_proxy",
    "ftp_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
