//! The support page's table is the kernel's table.

use std::fmt::Write as _;

use minke_kernel::net::options::{Handling, OPTIONS, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP, Scope};

const PAGE: &str = include_str!("../../../../docs/compat/net.md");

fn render() -> String {
    let mut table =
        String::from("| level | option | sockets | handling | note |\n|---|---|---|---|---|\n");
    for row in OPTIONS {
        let level = match row.level {
            SOL_SOCKET => "`SOL_SOCKET`",
            SOL_IP => "`IPPROTO_IP`",
            SOL_TCP => "`IPPROTO_TCP`",
            SOL_IPV6 => "`IPPROTO_IPV6`",
            other => panic!("level {other} has no name here"),
        };
        let scope = match row.scope {
            Scope::All => "all",
            Scope::Internet => "Internet",
            Scope::Ipv6 => "IPv6",
            Scope::Tcp => "TCP",
        };
        let handling = match row.handling {
            Handling::Effective => "as on Linux".to_owned(),
            Handling::Host => "host".to_owned(),
            Handling::Kept => "kept".to_owned(),
            Handling::ReadOnly => "read only".to_owned(),
            Handling::Refused(error) => format!("`{}`", error.name()),
        };
        let (symbol, note) = (row.symbol, row.note);
        writeln!(
            table,
            "| {level} | `{symbol}` | {scope} | {handling} | {note} |"
        )
        .unwrap();
    }
    table
}

#[test]
fn the_support_page_lists_every_option_of_the_table() {
    let table = render();
    assert!(
        PAGE.contains(&table),
        "put this table into docs/compat/net.md:\n{table}"
    );
}
