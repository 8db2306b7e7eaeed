//! What the commands that show a list share: which stretch of it is asked for, and how a page is shown.

use serde_json::Value;

use super::client::{field, outline, table};

/// Which stretch of a list, as [`crate::http`]'s lists take it.
#[derive(Clone, Debug, clap::Args)]
pub struct Stretch {
    /// Not before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Rows in the page, at most 500
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: Option<u16>,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<String>,
    /// desc or asc
    #[arg(long, value_parser = ["desc", "asc"])]
    order: Option<String>,
}

impl Stretch {
    /// The query: `filters` that were given, then these.
    pub fn query<const N: usize>(
        self,
        filters: [(&'static str, Option<String>); N],
    ) -> Vec<(&'static str, String)> {
        let stretch = [
            ("since", self.since),
            ("until", self.until),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("cursor", self.cursor),
            ("order", self.order),
        ];
        let given = filters.into_iter().chain(stretch);
        given.filter_map(|(key, value)| value.map(|value| (key, value))).collect()
    }
}

/// The rows of an answer, each as `row` makes it, and where the next page begins.
pub fn page(answer: &Value, columns: &[&str], row: impl Fn(&Value) -> Value) -> String {
    let Some(rows) = answer.get("data").and_then(Value::as_array) else { return outline(answer) };
    let more = match field(answer, "next_cursor") {
        cursor if cursor.is_empty() => String::new(),
        cursor => format!("more: --cursor {cursor}\n"),
    };
    let rows: Vec<Value> = rows.iter().map(row).collect();
    table(&rows, columns) + &more
}
