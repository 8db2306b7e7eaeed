//! Replies, conversations, opt-outs and holds over the real HTTP server, with a carrier whose people answer.

use nudged::http::auth::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Carrier, World, number, one, silent, until};

fn escaped(number: &str) -> String {
    number.replace('+', "%2B")
}

/// The replies once there are `count`, newest first.
async fn replies(world: &World, count: usize) -> Vec<Value> {
    let look = async || {
        let list = world.get("/v1/inbound").await["data"].as_array().unwrap().clone();
        (list.len() >= count).then_some(list)
    };
    until(&world.clock, &format!("{count} replies"), look).await
}

async fn up() -> (World, Carrier) {
    let (world, carrier) = one(silent(), "").await;
    world.await_link("carrier", "up").await;
    (world, carrier)
}

async fn csv(world: &World, text: &str) -> (u16, Value) {
    let request = world.request(Method::POST, "/v1/optouts", None).header("Content-Type", "text/csv");
    let answer = request.body(text.to_owned()).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn exported(world: &World) -> String {
    let answer = world.request(Method::GET, "/v1/optouts.csv", None).send().await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/csv"));
    answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_shown_with_all_its_names_and_the_message_it_answers() {
    let (world, carrier) = up().await;
    let sent = world.send(&number(1), "your invoice").await;
    world.await_status(&sent, "sent").await;
    carrier.reply(&number(1), "I'll pay on Friday").await;
    let reply = replies(&world, 1).await.remove(0);
    assert_eq!(reply["from"], number(1).as_str());
    assert_eq!((&reply["to"], &reply["text"]), (&json!("12345"), &json!("I'll pay on Friday")));
    assert_eq!((&reply["link"], &reply["intent"]), (&json!("carrier"), &json!("other")));
    assert_eq!((&reply["answers"], &reply["complete"]), (&json!(sent), &json!(true)));
    assert_eq!((&reply["held"], &reply["segment_count"]), (&json!(false), &json!(1)));
    assert!(reply["received_at"].as_str().unwrap().ends_with('Z'));
    let raw = reply["raw"].as_str().unwrap();
    assert!(!raw.is_empty() && raw.bytes().all(|b| b.is_ascii_hexdigit()), "{raw}");
    let id = reply["id"].as_str().unwrap();
    assert!(id.starts_with("inb_"));
    assert_eq!(world.get(&format!("/v1/inbound/{id}")).await, reply);
    assert_eq!(world.call(Method::GET, "/v1/inbound/inb_0000000000000", None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_are_filtered_and_paged() {
    let (world, carrier) = up().await;
    for n in 0..5 {
        carrier.reply(&number(n % 2), &format!("reply {n}")).await;
    }
    replies(&world, 5).await;
    let texts = async |path: &str| -> Vec<String> {
        let list = world.get(path).await;
        list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reply| reply["text"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(texts("/v1/inbound?order=asc&limit=2").await, ["reply 0", "reply 1"]);
    let first = world.get("/v1/inbound?order=asc&limit=2").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(
        texts(&format!("/v1/inbound?order=asc&limit=2&cursor={cursor}")).await,
        ["reply 2", "reply 3"]
    );
    for name in ["from", "number"] {
        let path = format!("/v1/inbound?{name}={}", escaped(&number(1)));
        assert_eq!(texts(&path).await, ["reply 3", "reply 1"], "{name}");
    }
    assert_eq!(texts("/v1/inbound?link=carrier&intent=other&since=2020-01-01T00:00:00Z").await.len(), 5);
    assert!(texts("/v1/inbound?link=other").await.is_empty());
    assert!(texts("/v1/inbound?until=2020-01-01T00:00:00Z").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_a_list_does_not_know_is_refused_by_name() {
    let (world, _carrier) = up().await;
    for (path, field) in [
        ("/v1/inbound?colour=red", "colour"),
        ("/v1/inbound?from=12", "from"),
        ("/v1/inbound?limit=0", "limit"),
        ("/v1/inbound?cursor=msg_1", "cursor"),
        ("/v1/inbound?intent=happy", "intent"),
        ("/v1/optouts?order=desc", "order"),
        ("/v1/optouts?cursor=x", "cursor"),
        ("/v1/holds?from=x", "from"),
        ("/v1/conversations/12", "number"),
        ("/v1/optouts/abc", "number"),
    ] {
        let (status, problem) = world.call(Method::GET, path, None).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some(field)), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_in_order_with_its_directions() {
    let (world, carrier) = up().await;
    let body = json!({"to": number(1), "text": "first", "metadata": {"a": 1}});
    let sent = world.accept(body).await;
    world.await_status(&sent, "sent").await;
    carrier.reply(&number(1), "second: paid on Monday").await;
    replies(&world, 1).await;
    world.send(&number(1), "third").await;
    world.send(&number(2), "somebody else").await;
    let path = format!("/v1/conversations/{}", escaped(&number(1)));
    let conversation = world.get(&path).await;
    let lines: Vec<(&str, &str)> = conversation["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["direction"].as_str().unwrap(), line["text"].as_str().unwrap()))
        .collect();
    assert_eq!(lines, [("out", "first"), ("in", "second: paid on Monday"), ("out", "third")]);
    assert_eq!(conversation["data"][0]["metadata"], json!({"a": 1}));
    assert_eq!((&conversation["opted_out"], &conversation["held"]), (&json!(false), &json!(false)));
    let page = world.get(&format!("{path}?limit=2")).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = world.get(&format!("{path}?limit=2&cursor={cursor}")).await;
    assert_eq!(rest["data"][0]["text"], "third");
    assert_eq!(world.get(&format!("{path}?order=desc")).await["data"][0]["text"], "third");
    assert!(world.get("/v1/conversations/%2B4915199999999").await["data"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_listed_with_its_reply_and_blocks_until_it_is_removed() {
    let (world, carrier) = up().await;
    carrier.reply(&number(1), "Stop!").await;
    let reply = replies(&world, 1).await.remove(0);
    assert_eq!(reply["intent"], "opt_out");
    let path = format!("/v1/optouts/{}", escaped(&number(1)));
    let opt_out = world.get(&path).await;
    assert_eq!((&opt_out["number"], &opt_out["source"]), (&json!(number(1)), &json!("reply")));
    assert_eq!(opt_out["reply"], reply["id"]);
    assert_eq!(world.get("/v1/optouts").await["data"][0], opt_out);
    let (status, blocked) = world.post("/v1/messages", json!({"to": number(1), "text": "more"})).await;
    assert_eq!((status, &blocked["status"]), (202, &json!("blocked")), "{blocked}");
    assert!(blocked["warnings"][0].as_str().unwrap().starts_with("to: "), "{blocked}");
    let reason = &world.message(blocked["id"].as_str().unwrap()).await["reason"]["code"];
    assert_eq!(reason, "policy.opted_out");
    let dry = json!({"to": number(1), "text": "more", "dry_run": true});
    assert_eq!(world.post("/v1/messages", dry).await.1["warnings"], blocked["warnings"]);
    let (status, removed) = world.call(Method::DELETE, &path, None).await;
    assert_eq!((status, &removed["removed"]), (200, &json!([number(1)])));
    assert_eq!(world.call(Method::DELETE, &path, None).await.0, 404);
    assert_eq!(world.call(Method::GET, &path, None).await.0, 404);
    let id = world.send(&number(1), "again").await;
    world.await_status(&id, "sent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_in_doubt_is_listed_as_a_hold_until_a_person_decides() {
    let (world, carrier) = up().await;
    for n in [1, 2] {
        carrier.reply(&number(n), "leave me alone").await;
    }
    let reply = replies(&world, 2).await.remove(0);
    assert_eq!((&reply["intent"], &reply["held"]), (&json!("may_be_opt_out"), &json!(true)));
    let holds = world.get("/v1/holds").await;
    assert_eq!(holds["data"].as_array().unwrap().len(), 2);
    assert_eq!(holds["data"][0]["text"], "leave me alone");
    let path = format!("/v1/holds/{}", escaped(&number(1)));
    assert_eq!(world.get(&path).await["number"], number(1).as_str());
    let waiting = world.send(&number(1), "waits").await;
    let sent = world.send(&number(3), "goes").await;
    world.await_status(&sent, "sent").await;
    assert_eq!(world.status(&waiting).await, "queued");
    let dry = json!({"to": number(1), "text": "waits too", "dry_run": true});
    assert_eq!(world.post("/v1/messages", dry).await.1["warnings"].as_array().unwrap().len(), 1);
    assert_eq!(world.call(Method::DELETE, &path, None).await.0, 200);
    world.await_status(&waiting, "sent").await;
    assert_eq!(world.call(Method::DELETE, &path, None).await.0, 404);
    // The other way: the person reads it as a stop.
    assert_eq!(world.post("/v1/optouts", json!({"number": number(2)})).await.0, 201);
    assert!(world.get("/v1/holds").await["data"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_is_added_once_and_the_second_time_is_harmless() {
    let (world, _carrier) = up().await;
    let body = json!({"number": number(1), "reason": "letter of 3 May"});
    let (status, added) = world.post("/v1/optouts", body.clone()).await;
    assert_eq!((status, &added["reason"], &added["by"]), (201, &json!("letter of 3 May"), &json!("test")));
    assert_eq!(world.post("/v1/optouts", body).await, (200, added));
    let (status, many) = world
        .post("/v1/optouts", json!([{"number": number(1)}, {"number": number(2)}, {"number": "x"}, {}]))
        .await;
    assert_eq!(
        (status, &many["added"], &many["already"], &many["refused"]),
        (200, &json!(1), &json!(1), &json!(2))
    );
    let statuses: Vec<&Value> =
        many["results"].as_array().unwrap().iter().map(|row| &row["status"]).collect();
    assert_eq!(statuses, [&json!("already"), &json!("added"), &Value::Null, &Value::Null]);
    assert_eq!(many["results"][2]["error"]["errors"][0]["field"], "number");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_opt_out_is_refused_with_its_field() {
    let (world, _carrier) = up().await;
    for (body, field) in [
        (json!({}), "number"),
        (json!({"number": "12"}), "number"),
        (json!({"number": 5}), "number"),
        (json!({"number": number(1), "colour": 1}), "colour"),
        (json!({"number": number(1), "reason": "x".repeat(201)}), "reason"),
        (json!({"number": number(1), "reason": "a\u{1b}b"}), "reason"),
    ] {
        let (status, problem) = world.post("/v1/optouts", body.clone()).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some(field)), "{body}");
    }
    let request = world.request(Method::POST, "/v1/optouts", None).header("Content-Type", "text/plain");
    assert_eq!(request.body("x").send().await.unwrap().status(), 415);
    let large = json!({"number": number(1), "reason": "x".repeat(300 << 10)});
    assert_eq!(world.post("/v1/optouts", large).await.0, 413);
    assert!(world.get("/v1/optouts").await["data"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_can_be_imported_elsewhere_and_no_cell_is_a_formula() {
    let (world, _carrier) = up().await;
    let hostile = "=HYPERLINK(\"http://x\",\"y\")";
    world.post("/v1/optouts", json!({"number": number(1), "reason": hostile})).await;
    world.post("/v1/optouts", json!({"number": number(2), "reason": "+SUM(1,2)"})).await;
    let file = exported(&world).await;
    assert!(file.starts_with("number,reason,source,by,at\r\n"), "{file}");
    assert!(file.contains(&format!("\r\n{},\"'+SUM(1,2)\",token,test,", number(2))), "{file}");
    assert!(!file.contains(",=") && !file.contains("\"="), "{file}");
    let accept = world.request(Method::GET, "/v1/optouts", None).header("Accept", "text/csv");
    assert_eq!(accept.send().await.unwrap().text().await.unwrap(), file);
    let (other, _other_carrier) = up().await;
    let (status, answer) = csv(&other, &file).await;
    assert_eq!((status, &answer["added"], &answer["refused"]), (200, &json!(2), &json!(0)), "{answer}");
    let kept = other.get(&format!("/v1/optouts/{}", escaped(&number(1)))).await;
    let original = world.get(&format!("/v1/optouts/{}", escaped(&number(1)))).await;
    assert_eq!((&kept["reason"], &kept["at"]), (&json!(hostile), &original["at"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_answers_row_by_row() {
    let (world, _carrier) = up().await;
    let text = format!("\u{FEFF}name;number\r\nMeier;{}\r\n;\r\nX;abc\r\nM;{}\r\n", number(1), number(1));
    let (status, answer) = csv(&world, &text).await;
    assert_eq!(status, 200, "{answer}");
    let rows: Vec<(u64, Option<&str>)> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["line"].as_u64().unwrap(), row["status"].as_str()))
        .collect();
    assert_eq!(rows, [(2, Some("added")), (4, None), (5, Some("already"))]);
    assert_eq!(csv(&world, "phone\n+4915112345678\n").await.0, 422);
    assert_eq!(csv(&world, "number\n\"+49").await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_of_opt_outs_is_paged_to_its_end() {
    let (world, _carrier) = up().await;
    let rows: String = (0..1_200).map(|n| format!("{}\n", number(n))).collect();
    let (_, answer) = csv(&world, &format!("number\n{rows}")).await;
    assert_eq!(answer["added"], 1_200);
    assert_eq!(exported(&world).await.lines().count(), 1_201);
    let mut seen = 0;
    let mut path = String::from("/v1/optouts?limit=500");
    loop {
        let page = world.get(&path).await;
        seen += page["data"].as_array().unwrap().len();
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/optouts?limit=500&cursor={cursor}");
    }
    assert_eq!(seen, 1_200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_may_be_removed_by_query_or_body_too() {
    let (world, _carrier) = up().await;
    for n in [1, 2] {
        world.post("/v1/optouts", json!({"number": number(n)})).await;
    }
    let path = format!("/v1/optouts?number={}", escaped(&number(1)));
    assert_eq!(world.call(Method::DELETE, &path, None).await.0, 200);
    let body = json!({"number": number(2)});
    assert_eq!(world.call(Method::DELETE, "/v1/optouts", Some(body)).await.0, 200);
    assert_eq!(world.call(Method::DELETE, "/v1/optouts", None).await.0, 422);
    assert!(world.get("/v1/optouts").await["data"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_admin_changes_the_list_and_only_a_reader_sees_it() {
    let (world, _carrier) = up().await;
    let (reader, admin) = (world.token_with(&[Scope::Read]).await, world.token_with(&[Scope::Admin]).await);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let number = escaped(&number(1));
    let calls = [
        (Method::GET, String::from("/v1/inbound"), true),
        (Method::GET, format!("/v1/conversations/{number}"), true),
        (Method::GET, String::from("/v1/optouts"), true),
        (Method::GET, String::from("/v1/optouts.csv"), true),
        (Method::GET, String::from("/v1/holds"), true),
        (Method::POST, String::from("/v1/optouts"), false),
        (Method::DELETE, format!("/v1/optouts/{number}"), false),
        (Method::DELETE, format!("/v1/holds/{number}"), false),
    ];
    for (method, path, reads) in calls {
        let url = format!("http://{}{path}", world.address());
        let refused = if reads { &admin } else { &reader };
        let answer = client.request(method.clone(), &url).bearer_auth(refused).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{method} {path}");
        let answer = client.request(method.clone(), &url).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_replies_by_intent_and_name_no_number() {
    let (world, carrier) = up().await;
    carrier.reply(&number(1), "stop").await;
    carrier.reply(&number(2), "thanks").await;
    world.await_snapshot("two replies", |status| status["inbound_total"] == 2).await;
    let metrics = world.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("nudged_inbound_total{intent=\"opt_out\"} 1\n"), "{metrics}");
    assert!(metrics.contains("nudged_inbound_total{intent=\"other\"} 1\n"), "{metrics}");
    assert!(metrics.contains("nudged_optouts 1\n"), "{metrics}");
    assert!(!metrics.contains("4915110"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_release_a_hold_may_not_by_a_task_either() {
    let (world, carrier) = up().await;
    carrier.reply(&number(1), "please stop this nonsense").await;
    let reader = world.token_with(&[Scope::Reminders, Scope::Read]).await;
    let admin = world.token_with(&[Scope::Reminders, Scope::Read, Scope::Admin]).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = |path: &str| format!("http://{}{path}", world.address());
    let task = async || {
        let listed = client.get(url("/v1/tasks?state=open")).bearer_auth(&reader).send().await.unwrap();
        let listed: Value = listed.json().await.unwrap();
        listed["data"][0]["id"].as_str().map(str::to_owned)
    };
    let task = until(&world.clock, "a person is asked", task).await;
    let done = async |token: &str, outcome: &str| {
        let call = client.post(url(&format!("/v1/tasks/{task}/done"))).bearer_auth(token);
        let answer = call.json(&json!({"outcome": outcome})).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, why) = done(&reader, "resume").await;
    assert_eq!((status, &why["code"]), (403, &json!("scope_missing")), "{why}");
    assert_eq!(world.get("/v1/holds").await["data"].as_array().unwrap().len(), 1);
    let (status, why) = done(&admin, "resume").await;
    assert_eq!(status, 200, "{why}");
    assert!(world.get("/v1/holds").await["data"].as_array().unwrap().is_empty());
}
