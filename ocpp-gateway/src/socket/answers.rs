//! Answers the calls of a charger.

use std::time::Instant;

use ::metrics::{counter, histogram};
use actix_web::rt;
use charging::chargers::messages::Direction;

use super::{Ending, Pending, Socket, within};
use crate::calls::Outcome;
use crate::metrics::{CALL, CALLS};

impl Socket {
    pub(super) async fn stepped(&mut self, outcome: Outcome) -> Result<(), Ending> {
        let Some((pending, _)) = self.step.take() else { return Ok(()) };
        match outcome {
            Outcome::Answer(text) => {
                if pending.action == "BootNotification" {
                    self.settled = true;
                    Box::pin(self.look_for_commands()).await;
                }
                self.answer(&pending, text, "answered").await
            }
            Outcome::Deciding(deciding) => {
                self.deciding.push(Box::pin(async move { (pending, deciding.await) }));
                Ok(())
            }
            Outcome::Followed(text, following) => {
                self.answer(&pending, text, "answered").await?;
                rt::spawn(self.node.tasks.track_future(following));
                Ok(())
            }
            Outcome::Unanswered => {
                counter!(CALLS, "action" => pending.action, "result" => "unanswered").increment(1);
                self.connection.unanswered(&pending.id);
                Ok(())
            }
        }
    }

    pub(super) async fn answer(
        &mut self,
        pending: &Pending,
        text: String,
        result: &'static str,
    ) -> Result<(), Ending> {
        self.connection.answered(&pending.id, &text, Instant::now());
        counter!(CALLS, "action" => known(&pending.action), "result" => result).increment(1);
        histogram!(CALL, "action" => known(&pending.action)).record(pending.since.elapsed().as_secs_f64());
        let action = pending.action.clone();
        self.write(text, Some(&action)).await
    }

    pub(super) async fn write(&mut self, text: String, action: Option<&str>) -> Result<(), Ending> {
        self.log(Direction::Out, action, &text);
        within(self.session.text(text)).await
    }
}

/// The action as a label: a charger may send any text.
fn known(action: &str) -> String {
    let is_known = action.len() <= 40 && action.chars().all(|letter| letter.is_ascii_alphabetic());
    if is_known && ocpp::v16::is_known(action) { action.to_owned() } else { "other".to_owned() }
}
