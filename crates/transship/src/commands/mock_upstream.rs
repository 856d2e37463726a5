//! `transship mock-upstream`: a registry that misbehaves as its script says.
//!
//! Must not know the server or the cache. Invariant: a wrong script starts nothing.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use mock_upstream::image::Image;
use mock_upstream::registries::FakeRegistry;
use mock_upstream::upstream::{Access, Account, BearerRules, FakeUpstream, Request};

use crate::args::MockUpstreamArgs;
use crate::mock_script::{Content, EXAMPLE, ImageSource, MockAccess, MockScript};
use crate::signals::Signals;
use crate::{fail, print, usage_error};

/// How often the log is looked at.
const LOG_EVERY: Duration = Duration::from_millis(200);

/// Runs the command.
pub(crate) fn run(args: &MockUpstreamArgs) -> ExitCode {
    if args.example {
        return print(EXAMPLE);
    }
    let script = match args.script.as_ref().map(|file| (file, std::fs::read_to_string(file))) {
        None => MockScript::default(),
        Some((file, Err(error))) => return fail(usage_error(), &format!("{}: {error}", file.display())),
        Some((file, Ok(text))) => match MockScript::parse(&text, file) {
            Ok(script) => script,
            Err(problems) => return fail(usage_error(), &problems),
        },
    };
    match serve(args, &script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(ExitCode::FAILURE, &error),
    }
}

fn serve(args: &MockUpstreamArgs, script: &MockScript) -> anyhow::Result<()> {
    let upstream = FakeUpstream::start_at(args.listen)?;
    let login = |username: &str, password: &str| Account::new(username, password);
    let (upstream, registry) = match &script.access {
        MockAccess::Open => (Some(upstream), None),
        MockAccess::Basic { username, password } => {
            upstream.set_access(Access::Basic(login(username, password)));
            (Some(upstream), None)
        }
        MockAccess::Bearer { username, password } => {
            let account = Some(login(username, password));
            upstream.set_access(Access::Bearer(BearerRules { account, ..BearerRules::default() }));
            (Some(upstream), None)
        }
        MockAccess::Registry(recipe) => (None, Some(FakeRegistry::of(recipe, upstream))),
    };
    let origin = upstream
        .as_ref()
        .or(registry.as_ref().map(FakeRegistry::origin))
        .ok_or_else(|| anyhow::anyhow!("nothing to serve"))?;
    let mut said = vec![format!("mock upstream on {}", origin.url())];
    for image in &script.images {
        said.extend(add(origin, registry.as_ref(), image)?);
    }
    if let Some(account) = registry.as_ref().and_then(FakeRegistry::account) {
        said.push(format!("login: {} with the password {}", account.username, account.password));
    }
    said.extend(registry.as_ref().and_then(FakeRegistry::token_host).map(|host| format!("token_hosts: [{host}]")));
    for (target, faults) in &script.rules {
        for fault in faults {
            origin.fault(target.clone(), fault.clone());
        }
    }
    // For people: standard output is the request log's alone.
    writeln!(std::io::stderr(), "{}", said.join("\n"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(log(origin, args.json))
}

fn add(origin: &FakeUpstream, registry: Option<&FakeRegistry>, source: &ImageSource) -> anyhow::Result<Vec<String>> {
    let shown = |tag: &String| format!("image: {}:{tag}", source.repository);
    match (&source.content, registry) {
        (Content::Layout(folder), _) => Ok(origin.add_layout(&source.repository, folder)?.iter().map(shown).collect()),
        (Content::Sample { tag, size }, Some(registry)) => {
            registry.add_image(tag, &Image::small(1, size.0 as usize));
            Ok(vec![format!("image: {}:{tag}", registry.pull_name())])
        }
        (Content::Sample { tag, size }, None) => {
            origin.add_image(&source.repository, tag, &Image::small(1, size.0 as usize));
            Ok(vec![shown(tag)])
        }
    }
}

/// Writes each request once it is answered, until told to stop.
async fn log(origin: &FakeUpstream, json: bool) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut written: Vec<bool> = Vec::new();
    loop {
        let requests = origin.requests();
        written.resize(requests.len(), false);
        for (request, written) in
            requests.iter().zip(&mut written).filter(|(request, done)| !**done && request.status.is_some())
        {
            writeln!(std::io::stdout(), "{}", line(request, json))?;
            *written = true;
        }
        tokio::select! {
            _ = signals.next() => return Ok(()),
            () = tokio::time::sleep(LOG_EVERY) => {}
        }
    }
}

/// The status stands as soon as the answer begins, so the bytes are not said here.
fn line(request: &Request, json: bool) -> String {
    let Request { method, path, query, status, .. } = request;
    let range = request.header("range").unwrap_or("-");
    let login = request.authorization().and_then(|value| value.split(' ').next()).unwrap_or("-");
    let status = status.unwrap_or_default();
    if json {
        let object = serde_json::json!({ "method": method, "path": path, "query": query, "status": status, "range": range, "login": login });
        return object.to_string();
    }
    let question = if query.is_empty() { "" } else { "?" };
    format!("{status} {method} {path}{question}{query} range={range} login={login}")
}
