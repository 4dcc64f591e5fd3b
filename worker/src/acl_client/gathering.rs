//! Questions that wait at the same moment share a call. Nothing is kept: every call begins after the questions that it asks,
//! so that no answer is older than its question. A question that waits with no other is asked by itself, at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use common::retry::RetryError;
use reqwest::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::NoAnswer;
use super::calls::{Answer, Asking, Calls, Question};

/// While a call is younger than this, questions gather behind it; then the next call sets out beside it, so that an
/// acl-service that is slow, or an instance that hangs, holds up nobody else.
const TURN: Duration = Duration::from_millis(4);
/// In one call.
const MOST: usize = 500;

#[derive(Debug)]
pub(super) struct Gathering {
    calls: Calls,
    waiting: Mutex<Vec<Waiting>>,
    /// Whoever has it sets out next, with all that wait.
    turn: Semaphore,
    /// An acl-service that is not ours may know the single question only.
    singly: AtomicBool,
}

#[derive(Debug)]
struct Waiting {
    question: Question,
    answer: oneshot::Sender<Answer<bool>>,
}

impl Gathering {
    pub(super) fn new(calls: Calls) -> Self {
        let (turn, waiting) = (Semaphore::new(1), Mutex::default());
        Self { calls, waiting, turn, singly: AtomicBool::new(false) }
    }

    /// Dropping it takes the question back. The answer to others that it may have set out for is then asked for again by
    /// themselves.
    pub(super) async fn ask(&self, question: Question, asking: Asking) -> Answer<bool> {
        if self.singly.load(Ordering::Relaxed) {
            return self.calls.check(&question, &asking).await;
        }
        let (answer, mut answered) = oneshot::channel();
        self.waiting().push(Waiting { question, answer });
        loop {
            let set_out = tokio::select! {
                biased;
                answer = &mut answered => return answer.unwrap_or_else(|_| Err(dropped())),
                turn = self.turn.acquire() => self.set_out(turn.ok(), &asking).await,
            };
            if !set_out {
                return answered.await.unwrap_or_else(|_| Err(dropped()));
            }
        }
    }

    /// Asks for those that have waited longest, one's own question among them unless they are too many or somebody else
    /// has set out with it. `false` where none waits.
    async fn set_out(&self, turn: Option<SemaphorePermit<'_>>, asking: &Asking) -> bool {
        let (questions, answers) = self.take();
        if questions.is_empty() {
            return false;
        }
        let mut call = std::pin::pin!(self.call(&questions, asking));
        let answered = match tokio::time::timeout(TURN, &mut call).await {
            Ok(answered) => answered,
            Err(_) => {
                drop(turn);
                call.await
            }
        };
        for (answer, answered) in answers.into_iter().zip(answered) {
            // Whoever does not wait any more has run out of time.
            let _ = answer.send(answered);
        }
        true
    }

    async fn call(&self, questions: &[Question], asking: &Asking) -> Vec<Answer<bool>> {
        let answers = match questions {
            [question] => return vec![self.calls.check(question, asking).await],
            questions => self.calls.check_many(questions, asking).await,
        };
        if let Err(RetryError::Permanent(NoAnswer::Status(status))) = &answers
            && [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(status)
        {
            tracing::info!(%status, "acl-service has no POST /acl/check; it is asked for each driver by itself");
            self.singly.store(true, Ordering::Relaxed);
            return questions.iter().map(|_| Err(dropped())).collect();
        }
        match answers {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(error) => questions.iter().map(|_| Err(same(&error))).collect(),
        }
    }

    fn take(&self) -> (Vec<Question>, Vec<oneshot::Sender<Answer<bool>>>) {
        let mut waiting = self.waiting();
        waiting.retain(|waiting| !waiting.answer.is_closed());
        let count = waiting.len().min(MOST);
        waiting.drain(..count).map(|Waiting { question, answer }| (question, answer)).unzip()
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody answers this call any more; another may be.
fn dropped() -> RetryError<NoAnswer> {
    RetryError::Transient(NoAnswer::Request("whoever asked for it stopped waiting".to_owned()))
}

fn same(error: &RetryError<NoAnswer>) -> RetryError<NoAnswer> {
    match error {
        RetryError::Transient(error) => RetryError::Transient(error.clone()),
        RetryError::Permanent(error) => RetryError::Permanent(error.clone()),
    }
}
