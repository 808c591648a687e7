//! Which of some names a mistyped one means.

/// Names that begin alike are taken for each other from this likeness on.
const LIKENESS_MIN: f64 = 0.75;

/// One mistake (a letter too many, too few, another, or two swapped) is allowed for so many characters.
const CHARACTERS_PER_MISTAKE: usize = 4;

/// Returns the name that `typed` is most likely to mean, if it is like any.
///
/// Source: Damerau, "A technique for computer detection and correction of spelling errors"; Winkler, "String
/// Comparator Metrics", for names of which only the beginning was typed.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mistakes_max = (typed.chars().count() / CHARACTERS_PER_MISTAKE).max(1);
    let wanted = letters(typed);
    let likeness = |name: &str| strsim::jaro_winkler(typed, name);
    let ranked = names.into_iter().filter_map(|name| {
        let mistakes = strsim::osa_distance(typed, name);
        let is_near = mistakes <= mistakes_max || likeness(name) >= LIKENESS_MIN;
        is_near.then_some((mistakes, name))
    });
    ranked
        .min_by(|(few, a), (many, b)| {
            // Letters that are all there, in another order, are a likelier mistake than another letter.
            let by_letters = || letters(b).eq(&wanted).cmp(&letters(a).eq(&wanted));
            let by_likeness = || likeness(b).total_cmp(&likeness(a));
            few.cmp(many).then_with(by_letters).then_with(by_likeness)
        })
        .map(|(_, name)| name)
}

/// Returns a name's characters in one order.
fn letters(name: &str) -> Vec<char> {
    let mut letters: Vec<char> = name.chars().collect();
    letters.sort_unstable();
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &str, expected: Option<&str>) {
        let names = ["web", "website", "hello-rust", "database"];
        assert_eq!(nearest(typed, names), expected, "{typed}");
    }

    #[test]
    fn one_mistake_in_a_short_name_and_more_in_a_long_one_are_forgiven() {
        check("wbe", Some("web"));
        check("webb", Some("web"));
        check("wbsite", Some("website"));
        check("datbaase", Some("database"));
        check("hello", Some("hello-rust"));
        check("postgres", None);
        check("x", None);
        assert_eq!(nearest("sp", ["cp", "ps"]), Some("ps"));
    }
}
