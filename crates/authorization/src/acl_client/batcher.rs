//! Batches concurrent access checks into one call. Nothing is cached: every call begins after the questions it asks, so
//! no answer is older than its question. A question that waits alone is asked at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use service_runtime::retry::RetryError;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::NoAnswer;
use super::calls::{Answer, CallContext, Calls, Question};

/// While a call is younger than this, further questions wait for the next one. After that the next call starts beside it, so
/// that a slow acl-service, or an instance that hangs, delays no other question.
const MAX_WAIT: Duration = Duration::from_millis(4);
/// The maximum number of questions in one call.
const MAX_QUESTIONS: usize = 500;

#[derive(Debug)]
pub(super) struct Batcher {
    calls: Calls,
    waiting: Mutex<Vec<WaitingQuestion>>,
    /// The caller that holds the permit makes the next call, with all waiting questions.
    turn: Semaphore,
    /// Set if acl-service does not support batches: another implementation may only answer single questions.
    singly: AtomicBool,
}

#[derive(Debug)]
struct WaitingQuestion {
    question: Question,
    answer: oneshot::Sender<Answer<bool>>,
}

impl Batcher {
    pub(super) fn new(calls: Calls) -> Self {
        let (turn, waiting) = (Semaphore::new(1), Mutex::default());
        Self { calls, waiting, turn, singly: AtomicBool::new(false) }
    }

    /// Dropping the future withdraws the question. If it had started a call for others, they ask again themselves.
    pub(super) async fn ask(&self, question: Question, asking: CallContext) -> Answer<bool> {
        if self.singly.load(Ordering::Relaxed) {
            return self.calls.check(&question, &asking).await;
        }
        let (answer, mut answered) = oneshot::channel();
        self.waiting().push(WaitingQuestion { question, answer });
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

    /// Makes a call for the questions that have waited longest. The caller's own is among them unless there are too many, or
    /// another call has it. `false` if none waits.
    async fn set_out(&self, turn: Option<SemaphorePermit<'_>>, asking: &CallContext) -> bool {
        let (questions, answers) = self.take();
        if questions.is_empty() {
            return false;
        }
        let mut call = std::pin::pin!(self.call(&questions, asking));
        let answered = match tokio::time::timeout(MAX_WAIT, &mut call).await {
            Ok(answered) => answered,
            Err(_) => {
                drop(turn);
                call.await
            }
        };
        for (answer, answered) in answers.into_iter().zip(answered) {
            // A dropped receiver has reached its deadline.
            let _ = answer.send(answered);
        }
        true
    }

    async fn call(&self, questions: &[Question], asking: &CallContext) -> Vec<Answer<bool>> {
        let answers = match questions {
            [question] => return vec![self.calls.check(question, asking).await],
            questions => self.calls.check_many(questions, asking).await,
        };
        if let Err(RetryError::Permanent(NoAnswer::Status(status))) = &answers
            && [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(status)
        {
            tracing::info!(%status, "acl-service has no POST /acl/check; asking for each driver separately");
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
        let count = waiting.len().min(MAX_QUESTIONS);
        waiting.drain(..count).map(|WaitingQuestion { question, answer }| (question, answer)).unzip()
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<WaitingQuestion>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caller that started the call was dropped. Another caller may ask again.
fn dropped() -> RetryError<NoAnswer> {
    RetryError::Transient(NoAnswer::Request(Arc::new("the call was abandoned".into())))
}

fn same(error: &RetryError<NoAnswer>) -> RetryError<NoAnswer> {
    match error {
        RetryError::Transient(error) => RetryError::Transient(error.clone()),
        RetryError::Permanent(error) => RetryError::Permanent(error.clone()),
    }
}
