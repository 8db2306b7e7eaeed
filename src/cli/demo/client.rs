//! The demo's client of the HTTP API. It keeps its own list of what the API accepted and believes nothing
//! else.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::DemoError;
use super::compare::{CONFIRMATION, Posted, Reply, Row};
use super::sample::{Course, Sample};

/// The API answers within ten seconds; a daemon that does not has stopped.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Requests under way at a time.
const AT_ONCE: usize = 8;
/// The name of the token that is printed for people to try the API with.
pub const VISITOR: &str = "visitor";
/// Rows of a page: the most the API gives.
const PAGE: usize = 500;

pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
    pub accepted: Vec<Posted>,
    /// Requests repeated under their key.
    pub repeats: usize,
}

#[derive(Deserialize)]
struct Answer {
    id: String,
    segment_count: usize,
}

#[derive(Deserialize)]
struct BatchAnswer {
    results: Vec<Value>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Listed>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct ReplyPage {
    data: Vec<Reply>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    token: String,
    #[serde(flatten)]
    row: Row,
}

/// What the API shows.
pub struct Listing {
    pub rows: Vec<Row>,
    /// Messages that people posted with the token the demo printed. What they were promised is not known
    /// here, so it is read off the rows; for the rest they are held to the same rules.
    pub visitors: Vec<Posted>,
    pub replies: Vec<Reply>,
}

impl Client {
    pub fn new(address: SocketAddr, token: String) -> Result<Client, DemoError> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_WITHIN)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| DemoError::Api(error.to_string()))?;
        let base = format!("http://{address}");
        Ok(Client { http, base, token, accepted: Vec::new(), repeats: 0 })
    }

    /// Posts each by itself, some at once, until all are out or `stop`. What was begun is finished.
    pub async fn post_each(
        &mut self,
        samples: Vec<Sample>,
        stop: &CancellationToken,
    ) -> Result<(), DemoError> {
        let this = &*self;
        let posting = stream::iter(samples).map(|sample| async move {
            if stop.is_cancelled() { Ok(Vec::new()) } else { this.post(sample).await }
        });
        let answers: Vec<_> = posting.buffer_unordered(AT_ONCE).collect().await;
        for answer in answers {
            let mut answer = answer?;
            if let [first, second] = answer.as_slice() {
                self.repeats += 1;
                if first == second {
                    answer.pop();
                }
            }
            self.accepted.append(&mut answer);
        }
        Ok(())
    }

    /// What each request for the message was answered.
    async fn post(&self, sample: Sample) -> Result<Vec<Posted>, DemoError> {
        let key = sample.body["client_ref"].as_str().unwrap_or_default().to_owned();
        let times = if sample.course == Course::Repeated { 2 } else { 1 };
        let mut posted = Vec::new();
        for _ in 0..times {
            let request = self.request(Method::POST, "/v1/messages");
            let request = request.header("Idempotency-Key", &key).json(&sample.body);
            let answer = self.ask(request, StatusCode::ACCEPTED).await?;
            posted.push(promise(&sample, answer)?);
        }
        if let (Course::Canceled, Some(Posted { id, .. })) = (sample.course, posted.first()) {
            let request = self.request(Method::DELETE, &format!("/v1/messages/{id}"));
            self.ask(request, StatusCode::OK).await?;
        }
        Ok(posted)
    }

    /// Posts all in one request.
    pub async fn post_batch(&mut self, samples: Vec<Sample>) -> Result<(), DemoError> {
        let bodies: Vec<&Value> = samples.iter().map(|sample| &sample.body).collect();
        let request = self.request(Method::POST, "/v1/messages/batch").json(&bodies);
        let answer: BatchAnswer = read(self.ask(request, StatusCode::ACCEPTED).await?)?;
        if answer.results.len() != samples.len() {
            let why = format!("{} results for a batch of {}", answer.results.len(), samples.len());
            return Err(DemoError::Api(why));
        }
        for (sample, result) in samples.iter().zip(answer.results) {
            self.accepted.push(promise(sample, result)?);
        }
        Ok(())
    }

    /// How many messages have one of the statuses, a page of each at most.
    pub async fn count(&self, statuses: &[&str]) -> Result<usize, DemoError> {
        let mut count = 0;
        for status in statuses {
            let path = format!("/v1/messages?limit={PAGE}&status={status}");
            let page: Page = read(self.ask(self.request(Method::GET, &path), StatusCode::OK).await?)?;
            count += page.data.len();
        }
        Ok(count)
    }

    /// Nothing new goes to a carrier from here on.
    pub async fn pause(&self) -> Result<(), DemoError> {
        self.ask(self.request(Method::POST, "/v1/pause"), StatusCode::OK).await.map(drop)
    }

    /// All messages the API shows, page by page.
    pub async fn list(&self) -> Result<Listing, DemoError> {
        let mut listing = Listing { rows: Vec::new(), visitors: Vec::new(), replies: self.replies().await? };
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/messages?limit={PAGE}&order=asc{cursor}");
            let page: Page = read(self.ask(self.request(Method::GET, &path), StatusCode::OK).await?)?;
            for Listed { token, row } in page.data {
                // The daemon's own answers are in no list of ours either.
                if token == VISITOR || row.class == CONFIRMATION {
                    let Row { id, to, text, .. } = row.clone();
                    listing.visitors.push(Posted { id, to, text, segment_count: row.segments.len() });
                }
                listing.rows.push(row);
            }
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(listing),
            }
        }
    }

    /// All answers of phones that the API shows.
    async fn replies(&self) -> Result<Vec<Reply>, DemoError> {
        let (mut replies, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/inbound?limit={PAGE}&order=asc{cursor}");
            let page: ReplyPage = read(self.ask(self.request(Method::GET, &path), StatusCode::OK).await?)?;
            replies.extend(page.data);
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(replies),
            }
        }
    }

    /// Whether the message has left the queue for good, wherever to.
    pub async fn is_out(&self, id: &str) -> Result<bool, DemoError> {
        let row = self.ask(self.request(Method::GET, &format!("/v1/messages/{id}")), StatusCode::OK).await?;
        Ok(!["scheduled", "queued", "sending"].contains(&row["status"].as_str().unwrap_or_default()))
    }

    /// Whether the API shows that nothing may go to `number`.
    pub async fn is_opted_out(&self, number: &str) -> Result<bool, DemoError> {
        let request = self.request(Method::GET, &format!("/v1/optouts/{}", number.replace('+', "%2B")));
        let response = request.send().await.map_err(|error| DemoError::Api(error.to_string()))?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            status => Err(DemoError::Api(format!("{status} for an opt-out"))),
        }
    }

    /// A client that cheats: the stop of `number` is undone behind everybody's back.
    pub async fn ignore_stop(&self, number: &str) -> Result<(), DemoError> {
        let request = self.request(Method::DELETE, &format!("/v1/optouts/{}", number.replace('+', "%2B")));
        self.ask(request, StatusCode::OK).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    async fn ask(&self, request: reqwest::RequestBuilder, wanted: StatusCode) -> Result<Value, DemoError> {
        let failed = |error: reqwest::Error| DemoError::Api(error.to_string());
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let text = response.text().await.map_err(failed)?;
        if status != wanted {
            return Err(DemoError::Api(format!("{status} where {wanted} was due: {text}")));
        }
        serde_json::from_str(&text).map_err(|error| DemoError::Api(error.to_string()))
    }
}

fn promise(sample: &Sample, answer: Value) -> Result<Posted, DemoError> {
    let Answer { id, segment_count } = read(answer)?;
    Ok(Posted { id, to: sample.to.clone(), text: sample.text.clone(), segment_count })
}

fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, DemoError> {
    serde_json::from_value(answer).map_err(|error| DemoError::Api(error.to_string()))
}
