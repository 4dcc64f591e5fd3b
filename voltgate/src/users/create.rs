//! `voltgate users create`.

use std::io::{BufRead, IsTerminal, stdin};
use std::process::ExitCode;

use charging::accounts::audit::{self, Act};
use charging::accounts::{self, Language, NewAccount, Password, Secret, roles};
use common::role::{Role, RoleGrant};
use serde_json::json;
use service_runtime::exit::Failure;

use super::args::CreateArgs;
use super::{ACTOR, Users, UsersError};

impl Users<'_> {
    pub(super) async fn create(&self, args: CreateArgs) -> Result<ExitCode, Failure> {
        let (password, shown) = password(&args)?;
        let hash = password.hash().map_err(Failure::broken)?;
        let new = NewAccount {
            username: args.username.clone(),
            password: hash,
            language: Language::En,
            terms: None,
        };
        let created = self.db.write(async |tx| {
            let account = accounts::create(tx, &new).await?;
            if args.admin {
                roles::set(tx, account.id, &[RoleGrant { role: Role::Admin, location_ids: None }]).await?;
            }
            let data = json!({"admin": args.admin});
            let (action, subject, subject_id) = ("account.created", "account", account.id);
            audit::write(tx, &Act { actor: ACTOR, action, subject, subject_id, reason: None, data }).await?;
            Ok::<_, UsersError>(account)
        });
        let account = created.await.map_err(|error| self.failure(error))?;
        let mut object = json!({"id": account.id, "username": account.username, "admin": args.admin});
        if let Some(password) = &shown {
            object["password"] = json!(password);
        }
        let role = if args.admin { " with the role admin" } else { "" };
        let done = self.report(&object, &format!("created {}{role}, id {}", account.username, account.id));
        if let (Some(password), false) = (shown, self.as_json) {
            println!("{password}");
            eprintln!("This is the only time that the password is shown.");
        }
        Ok(done)
    }
}

/// The password, and what to show of it.
fn password(args: &CreateArgs) -> Result<(Password, Option<String>), Failure> {
    if args.generate {
        let text = Secret::generate().map_err(Failure::broken)?.reveal();
        return Ok((parsed(&text)?, Some(text)));
    }
    if args.password_stdin {
        let mut line = String::new();
        stdin().lock().read_line(&mut line).map_err(Failure::broken)?;
        return Ok((parsed(line.trim_end_matches(['\r', '\n']))?, None));
    }
    if !stdin().is_terminal() {
        let how = "the password cannot be asked for without a terminal: --password-stdin or --generate";
        return Err(Failure::Usage(how.to_owned()));
    }
    let ask = |prompt: &str| rpassword::prompt_password(prompt).map_err(Failure::broken);
    let (first, second) = (ask("Password: ")?, ask("The same again: ")?);
    if first != second {
        return Err(Failure::Usage("the two passwords differ".to_owned()));
    }
    Ok((parsed(&first)?, None))
}

fn parsed(text: &str) -> Result<Password, Failure> {
    text.parse().map_err(|expected| Failure::Usage(format!("the password: {expected}")))
}
