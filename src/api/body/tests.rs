//! Results and errors of bodies, in one piece and in many.

use super::*;

/// Returns the ids of each pool in a body of these pieces, or its error.
fn taken(form: Form<'_>, pieces: &[&[u8]]) -> Result<Vec<(String, Vec<String>)>, BodyError> {
    let mut reader = BodyReader::new(form, Media::Other);
    for piece in pieces {
        reader.take(piece);
        assert!(reader.tail.len() <= 1000, "little is kept of a body");
    }
    let seed = reader.finish()?;
    let pools = seed.pools().map(|(pool, ids)| {
        let ids = ids.map(|id| id.as_str().to_owned()).collect();
        (pool.as_str().to_owned(), ids)
    });
    Ok(pools.collect())
}

fn ids(body: &str) -> Result<Vec<String>, BodyError> {
    let pool = PoolName::parse("A").expect("a good name");
    taken(Form::Ids(&pool), &[body.as_bytes()]).map(|mut pools| pools.remove(0).1)
}

fn json_problem(body: &str) -> String {
    match read_seed(body.as_bytes()) {
        Err(BodyError::Json(problem, _)) => problem.into(),
        other => panic!("{body} is {other:?}"),
    }
}

#[test]
fn ids_come_as_json_or_as_lines() {
    assert_eq!(
        ids(r#" ["a", 1, -2, "\u00e9"]"#).expect("this is read"),
        ["a", "1", "-2", "\u{e9}"]
    );
    assert_eq!(
        ids("a b\r\n\n c\n\td \u{a0}\r\n").expect("this is read"),
        ["a b", "c", "d"]
    );
    assert_eq!(ids("[]").expect("this is read"), [""; 0]);
    assert_eq!(ids(" \n"), Err(BodyError::Empty));
    assert_eq!(ids("\u{a0}\n"), Err(BodyError::Empty));
    assert_eq!(ids("a\tb"), Err(BodyError::Id(NameError::Control)));
    for bad in [
        r#"[1.5]"#,
        "[null]",
        "[[1]]",
        "[1",
        "[1]x",
        r#"{"a":1}"#,
        r#"[""]"#,
        "[1e2]",
        "\u{a0}[1]",
    ] {
        assert!(matches!(ids(bad), Err(BodyError::Json(..))), "{bad}");
    }
}

#[test]
fn a_body_of_ids_is_text_that_was_meant() {
    let ok = |list: &[&str]| Ok(list.iter().map(|&id| id.to_owned()).collect::<Vec<_>>());
    assert_eq!(ids("\u{feff}[\"1\",2]"), ok(&["1", "2"]));
    assert_eq!(ids("\u{feff}1\r\n2\r\n"), ok(&["1", "2"]));
    assert_eq!(ids("\u{feff}"), Err(BodyError::Empty));
    for quoted in [
        "'[1]'",
        "\"1\"",
        "1'",
        "a\n\"b\n",
        "\u{201c}1\u{201d}",
        "' 1",
    ] {
        assert_eq!(ids(quoted), Err(BodyError::Quote), "{quoted}");
    }
    assert_eq!(ids("it's\n5\" wide"), ok(&["it's", "5\" wide"]));
    for scalar in ["null", " true\n", "false\r\n\r\n"] {
        assert_eq!(ids(scalar), Err(BodyError::Scalar), "{scalar}");
    }
    assert_eq!(ids("null\nvoid"), ok(&["null", "void"]));
    assert_eq!(ids("5"), ok(&["5"]));
    let pool = PoolName::parse("A").expect("a good name");
    let read = |media, body: &[u8]| read(Form::Ids(&pool), media, body);
    for body in ["5", "\"5\"", "null", "x\ny", "1.5"] {
        let read = read(Media::Json, body.as_bytes());
        assert!(matches!(read, Err(BodyError::Json(..))), "{body}: {read:?}");
    }
    assert!(read(Media::Json, b"\xef\xbb\xbf [1]").is_ok());
    for body in ["", "--x\r\n", "[1]", "\u{e9}"] {
        let read = read(Media::Multipart, body.as_bytes());
        assert_eq!(read, Err(BodyError::Multipart), "{body}");
    }
    // If no body is needed, most are ignored.
    assert!(super::read(Form::Nothing, Media::Multipart, b"--x").is_ok());
}

#[test]
fn a_seed_names_each_pool_once() {
    let seed = read_seed(br#"{"A":["1"],"B":[]}"#).expect("this is read");
    assert_eq!(seed.pool_count(), 2);
    for bad in [
        r#"{"A":["1"],"A":[]}"#,
        r#"{"A":"1"}"#,
        r#"{"":["1"]}"#,
        "[]",
        "1\n2",
        r#"{"A":["1"]"#,
    ] {
        assert!(
            matches!(read_seed(bad.as_bytes()), Err(BodyError::Json(..))),
            "{bad}"
        );
    }
}

#[test]
fn a_problem_is_told_with_its_place_in_the_body() {
    for (body, problem) in [
        (
            "{\"A\":[1,\n 2.5]}",
            "invalid type: floating point `2.5`, expected a string or an integer at line 2 column 4",
        ),
        (
            "{\"A\":\n\n{}}",
            "invalid type: map, expected an array of ids at line 3 column 0",
        ),
        (
            "[1]",
            "invalid type: sequence, expected an object of pools at line 1 column 0",
        ),
        ("{\"A\":[1],\n}", "trailing comma at line 2 column 1"),
        (
            "{\"A\":[1] \"B\"",
            "expected `,` or `}` at line 1 column 10",
        ),
        ("{\"A\":[\"x\\q\"]}", "invalid escape at line 1 column 10"),
        (
            "{\"A\":[\"x\ny\"]}",
            "control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0",
        ),
        (
            "{\"A\":[1]\n",
            "EOF while parsing an object at line 2 column 0",
        ),
        (
            "{\"A\":[1],\"A\":[2]}",
            "a pool is named twice at line 1 column 16",
        ),
        (
            "{\"A\":[\"\"]}",
            "a name is empty; it must have 1 to 128 bytes at line 1 column 8",
        ),
    ] {
        assert_eq!(json_problem(body), problem, "{body}");
    }
}

/// A client must not make the server parse the same bytes again and again by sending one at a time.
#[test]
fn of_a_name_that_never_ends_little_is_kept() {
    let long = "x".repeat(2000);
    let pool = PoolName::parse("A").expect("a good name");
    let too_long = Err(BodyError::Id(NameError::TooLong));
    let bytes = |text: &str| text.bytes().map(|byte| [byte]).collect::<Vec<_>>();
    let one_by_one = |form, text: &str| {
        let bytes = bytes(text);
        taken(
            form,
            &bytes.iter().map(|byte| &byte[..]).collect::<Vec<_>>(),
        )
    };
    assert_eq!(one_by_one(Form::Ids(&pool), &long), too_long);
    for text in [format!("[\"{long}"), format!("[{}", "1".repeat(2000))] {
        match one_by_one(Form::Ids(&pool), &text) {
            Err(BodyError::Json(problem, _)) => {
                assert!(problem.starts_with("a name is too long"), "{problem}");
            }
            other => panic!("{other:?}"),
        }
    }
    // But white space may be of any length.
    let space = " ".repeat(2000);
    let taken = one_by_one(Form::Ids(&pool), &format!("{space}\n{space}[1{space}\n]"));
    assert_eq!(taken, Ok(vec![("A".into(), vec!["1".into()])]));
    let x = Ok(vec![("A".into(), vec!["x".into()])]);
    let ids = |text: String| one_by_one(Form::Ids(&pool), &text);
    assert_eq!(ids(format!("{space}x{space}\n{space}")), x);
    assert_eq!(ids(format!("x{space}y")), too_long);
    assert_eq!(ids(format!("\"{long}")), too_long);
    assert_eq!(one_by_one(Form::Pools, &space), Err(BodyError::Empty));
}

/// Valid and invalid bodies, of both forms and of none.
const BODIES: [&[u8]; 48] = [
    b"{\"A\":[\"1\",2, \"3\"],\"B\":[]}",
    b" {\n\"A\" : [ -1 ,\t\"\\u00e9\\ud83d\\ude00\" ]\r\n} ",
    b"[\"1\",2, \"3\"]",
    b"[]",
    b"{}",
    b" { }",
    b"a\nb\r\n\r\n  c \nd",
    "\u{a0}\u{2003}\nx\u{a0}\n".as_bytes(),
    "\u{a0}[1]".as_bytes(),
    b"",
    b" \n ",
    b"{\"A\":[\"\\ud800\"]}",
    b"{\"A\":[\"\\ud800\\u0041\"]}",
    b"{\"A\":[\"\\uzzzz\"]}",
    b"[\"\\ud800\\n\"]",
    b"[\"a\\",
    b"[1.5e3]",
    b"[1e999]",
    b"[1e9999999999999999999999]",
    b"[-]",
    b"[-",
    b"[01]",
    b"[1-2]",
    b"[18446744073709551615,-9223372036854775808]",
    b"[18446744073709551616]",
    b"[true]",
    b"[trux]",
    b"[nul",
    b"[1,]",
    b"[,1]",
    b"{\"A\":[1],}",
    b"{\"A\":[1],\"A\":[x]}",
    b"{\"\":[1],\"B\":[]}",
    b"{\"A\"1",
    b"{1:[2]}",
    b"[[[[",
    b"[1]]",
    b"[\"\xc3\xa9\",\"\xff\"",
    b"[x,\"\xe2\x82\xac\"\xe2\x82",
    b"{}=",
    b"\xef\xbb\xbf{\"A\":[1]}",
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbf\xef\xbb\xbfx\n",
    b"\xef\xbb[1]",
    b" \xef\xbb\xbf[1]",
    b"' 1\n\xe2\x80\x9cx",
    b"null",
    b" \t true \xc2\xa0\n",
];

#[test]
fn a_body_comes_to_the_same_in_any_pieces() {
    let pool = PoolName::parse("P").expect("a good name");
    let form = |place| match place {
        0 => Form::Pools,
        1 => Form::Ids(&pool),
        _ => Form::Nothing,
    };
    for body in BODIES {
        for place in 0..3 {
            let read = |pieces: &[&[u8]]| taken(form(place), pieces);
            let whole = read(&[body]);
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(read(&bytes), whole, "{}", body.escape_ascii());
            for cut in 0..body.len() {
                let (start, end) = body.split_at(cut);
                let pieces = read(&[start, end]);
                assert_eq!(pieces, whole, "cut at {cut}: {}", body.escape_ascii());
            }
        }
    }
}
