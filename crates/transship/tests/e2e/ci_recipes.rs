//! The recipes in `docs/ci`: they have the form that each system asks for, and their shell lines are run, as they stand.
//!
//! Must not know: how anything is pushed. Invariant: no line is left out but those of helm, which Debian does not have; a step
//! with helm has no other program in it, so that nothing else hides there.

use std::fs;
use std::path::Path;

use oci::Digest;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use testkit::clients::{Buildah, Docker, Skopeo};
use testkit::hello_program;
use testkit::program::{self, Finished};

use crate::lab::PROGRAM;
use crate::pull_through::one_at_a_time;
use crate::push::Hosted;

fn recipe(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ci");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&recipe(name)).unwrap()
}

/// A folder with a Dockerfile, and the programs of a build machine.
struct Machine {
    house: Hosted,
    buildah: Buildah,
    docker: Option<Docker>,
    folder: TempDir,
}

impl Machine {
    fn start(docker: Option<Docker>) -> Self {
        let (house, folder) = (Hosted::start(), tempdir().unwrap());
        let buildah = Buildah::start(&house.transship.host());
        fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY hello /bin/hello\n").unwrap();
        fs::write(folder.path().join("hello"), hello_program::bytes()).unwrap();
        Self { house, buildah, docker, folder }
    }

    /// Runs a step as CI systems do: in the folder, ending with the first line that fails.
    fn step(&self, script: &str, variables: &[(&str, &str)]) {
        let mut command = program::command("bash", self.folder.path());
        self.buildah.prepare(&mut command);
        let programs = Path::new(PROGRAM).parent().unwrap();
        command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display()));
        command.env("DOCKER_CONFIG", self.folder.path().join("docker")).env("DOCKER_BUILDKIT", "0");
        if let Some(docker) = &self.docker {
            command.env("DOCKER_HOST", docker.host());
        }
        let host = self.house.transship.host();
        command.envs([("REGISTRY", host.as_str()), ("IMAGE", "rel/team/app"), ("TRANSSHIP_USERNAME", "ci")]);
        command.env("TRANSSHIP_PASSWORD", self.house.transship.admin_token()).envs(variables.iter().copied());
        command.current_dir(self.folder.path()).args(["-e", "-o", "pipefail", "-c", script]);
        Finished::of(&mut command).expect_success();
    }

    /// The digest of an image at the server; it can be pulled.
    fn digest(&self, image: &str) -> String {
        let (skopeo, image) = (Skopeo::new(), format!("{}/rel/{image}", self.house.transship.host()));
        let raw = skopeo.raw_manifest(&image).expect_success();
        skopeo.pull(&image, &tempdir().unwrap().path().join("pulled")).expect_success();
        Digest::sha256_of(raw.as_bytes()).to_string()
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_github_actions_run() {
    let _turn = one_at_a_time().await;
    let recipe = yaml("github-actions.yml");
    assert!(recipe["on"]["push"]["branches"].is_array() && recipe["env"]["REGISTRY"].is_string(), "{recipe}");
    let machine = Machine::start(Some(Docker::start(&json!({}))));
    let variables = [("GITHUB_SHA", "0a1b2c3d"), ("GITHUB_REF_NAME", "v1.4.0")];
    let (mut run, mut helm) = (0, 0);
    for (job, document) in recipe["jobs"].as_object().unwrap() {
        assert!(document["runs-on"].is_string(), "{job}");
        for step in list(document, "/steps") {
            let Some(script) = step["run"].as_str() else {
                assert!(step["uses"].is_string(), "{job}: {step}");
                continue;
            };
            assert!(
                step["name"].is_string() && !script.contains("${{"),
                "{job}: what is put into a script is a hole in it"
            );
            if script.contains("helm ") {
                assert!(script.lines().all(|line| line.contains("helm ")), "{script}");
                helm += 1;
            } else {
                machine.step(script, &variables);
                run += 1;
            }
        }
    }
    assert_eq!((run, helm), (3, 1));
    assert_eq!(machine.digest("team/app:0a1b2c3d"), machine.digest("team/app:v1.4.0"));
    let told: Value = serde_json::from_slice(&fs::read(machine.folder.path().join("pushed.json")).unwrap()).unwrap();
    assert_eq!(told["images"][0]["digest"], json!(machine.digest("team/app-daemonless:0a1b2c3d")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scripts_of_gitlab_run() {
    let recipe = yaml("gitlab-ci.yml");
    let machine = Machine::start(None);
    let variables = [("CI_COMMIT_SHORT_SHA", "0a1b2c3d"), ("CI_COMMIT_TAG", "v1.4.0")];
    for stage in list(&recipe, "/stages") {
        let job = &recipe[stage.as_str().unwrap()];
        assert_eq!(&job["stage"], stage);
        let lines: Vec<&str> = list(job, "/script").iter().map(|line| line.as_str().unwrap()).collect();
        machine.step(&lines.join("\n"), &variables);
    }
    let digest = fs::read_to_string(machine.folder.path().join("digest.txt")).unwrap();
    assert_eq!(machine.digest("team/app:v1.4.0"), digest.trim());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_tekton_run() {
    let recipe = yaml("tekton.yaml");
    assert_eq!((text(&recipe, "/apiVersion"), text(&recipe, "/kind")), ("tekton.dev/v1", "Task"));
    let machine = Machine::start(None);
    let result = machine.folder.path().join("result");
    let image = format!("{}/rel/team/app", machine.house.transship.host());
    // What the template of the steps sets out of parameters.
    let names: Vec<&str> = list(&recipe, "/spec/stepTemplate/env").iter().map(|env| text(env, "/name")).collect();
    assert_eq!(names, ["IMAGE", "REVISION", "RESULT"]);
    let variables = [("IMAGE", image.as_str()), ("REVISION", "0a1b2c3d"), ("RESULT", result.to_str().unwrap())];
    for step in list(&recipe, "/spec/steps") {
        let script = text(step, "/script");
        assert!(script.starts_with("#!/bin/sh\n") && step["image"].is_string());
        assert!(!script.contains("$("), "what is put into a script is a hole in it: {script}");
        machine.step(script, &variables);
    }
    assert_eq!(fs::read_to_string(result).unwrap(), machine.digest("team/app:0a1b2c3d"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_jenkins_run() {
    let _turn = one_at_a_time().await;
    let recipe = recipe("Jenkinsfile");
    assert_eq!(recipe.matches('{').count(), recipe.matches('}').count());
    let machine = Machine::start(Some(Docker::start(&json!({}))));
    let scripts: Vec<&str> = recipe.split("'''").skip(1).step_by(2).collect();
    assert_eq!(scripts.len(), recipe.matches("sh '''").count());
    for script in scripts {
        machine.step(script, &[("BUILD_NUMBER", "17")]);
    }
    let docker = machine.docker.as_ref().unwrap();
    let image = format!("{}/rel/team/app:build-17", machine.house.transship.host());
    docker.command(&["rmi", "app:17"]).expect_success();
    docker.pull(&image).expect_success();
    assert!(machine.digest("team/app:build-17").starts_with("sha256:"));
}
