//! The table as a whole.

use super::support_page;
use super::table::FAMILIES;

/// The support page that the table makes, in the repository.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compat/linux.md");

#[test]
fn the_support_page_is_the_table() {
    if std::env::var_os("MINKE_UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, support_page()).unwrap();
    }
    let page = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        page == support_page(),
        "docs/compat/linux.md differs from the table: run this test with MINKE_UPDATE_DOCS=1"
    );
}

#[test]
fn no_call_is_declared_twice() {
    let mut names: Vec<_> = FAMILIES
        .iter()
        .flat_map(|family| family.calls.iter().map(|call| call.name))
        .collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
