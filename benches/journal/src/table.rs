//! Tables of figures, and of ratios to the first row, which is the journal unless it was left out.

/// A figure of somebody.
#[derive(Debug)]
pub(crate) struct Row {
    /// Who, and with which settings.
    pub(crate) name: String,
    /// Of what the figure was taken: "1,000,000 events".
    pub(crate) size: String,
    /// The figure that is compared.
    pub(crate) figure: f64,
    /// Other figures, in words.
    pub(crate) more: String,
}

/// Which figure is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    More,
    Less,
}

/// Prints the rows, each with how many times better the first row is.
pub(crate) fn print(title: &str, unit: &str, better: Better, rows: &[Row]) {
    println!("\n{title} ({unit})");
    let name_width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let size_width = rows.iter().map(|row| row.size.len()).max().unwrap_or(0);
    for (at, row) in rows.iter().enumerate() {
        let ratio = match at {
            0 => String::new(),
            _ => format!("first is {:.2} times better", ratio(better, &rows[0], row)),
        };
        println!(
            "  {:<name_width$}  {:>size_width$}  {:>14}  {ratio:<28}  {}",
            row.name,
            row.size,
            figure(row.figure),
            row.more
        );
    }
}

/// How many times better `first` is than `other`.
fn ratio(better: Better, first: &Row, other: &Row) -> f64 {
    match better {
        Better::More => first.figure / other.figure,
        Better::Less => other.figure / first.figure,
    }
}

/// A figure with as many places as mean something.
pub(crate) fn figure(figure: f64) -> String {
    match figure {
        figure if figure >= 1000.0 => grouped(figure as u64),
        figure if figure >= 10.0 => format!("{figure:.1}"),
        figure => format!("{figure:.3}"),
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")]
        {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(figure(1234.5), "1,234");
        assert_eq!(figure(0.1234), "0.123");
    }

    #[test]
    fn a_ratio_says_how_much_better_the_first_is() {
        let row =
            |figure| Row { name: String::new(), size: String::new(), figure, more: String::new() };
        assert_eq!(ratio(Better::More, &row(10.0), &row(5.0)), 2.0);
        assert_eq!(ratio(Better::Less, &row(5.0), &row(10.0)), 2.0);
    }
}
