import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { z } from "zod";
import { repositoryRoot } from "../support/hosts.ts";
import { scratchForEach } from "../support/scratch-for-each.ts";

const manifest = z
	.object({ scripts: z.looseObject({ prepare: z.string() }) })
	.parse(JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")));

const scratch = scratchForEach();

/** A clone of this repository in the scratch folder, with the dependencies that its development needs. */
function cloneAt(name: string): string {
	const clone = scratch.path(name);
	mkdirSync(join(clone, ".ci"), { recursive: true });
	for (const path of [".ci/hooks.mjs", "lefthook.yml", "package.json"]) {
		cpSync(join(repositoryRoot, path), join(clone, path));
	}
	symlinkSync(join(repositoryRoot, "node_modules"), join(clone, "node_modules"), "junction");
	execFileSync("git", ["init", "--quiet"], { cwd: clone });
	return clone;
}

/** What `npm ci` runs there, and the hooks after that. */
function prepared(clone: string, env: Record<string, string> = {}) {
	const { status, stderr } = spawnSync(manifest.scripts.prepare, {
		cwd: clone,
		shell: true,
		encoding: "utf8",
		env: { PATH: process.env.PATH, HOME: scratch.dir, TMPDIR: scratch.path("tmp"), ...env },
	});
	const names = () => readdirSync(join(clone, ".git/hooks")).filter((name) => !name.endsWith(".sample"));
	return { status, stderr, names };
}

it("an install of a contributor's clone installs the git hooks", () => {
	const { status, stderr, names } = prepared(cloneAt("work/pi-multicodex"));
	expect([status, stderr, names().sort()]).toEqual([0, "", ["commit-msg", "pre-commit", "pre-push"]]);
});

it.each<[string, string, Record<string, string>]>([
	["in CI", "work/clone", { CI: "true" }],
	["where lefthook is switched off", "work/clone", { LEFTHOOK: "0" }],
	["of a package that pi keeps for a user", ".pi/agent/git/example.test/pi-multicodex", {}],
	["of a package that pi keeps for a project", "project/.pi/git/example.test/pi-multicodex", {}],
	["of a package that pi tries for one run", "tmp/pi-extensions/git-example.test/0a1b2c3d/pi-multicodex", {}],
])("an install %s installs no git hooks", (_where, path, env) => {
	const { status, stderr, names } = prepared(cloneAt(path), env);
	expect([status, stderr, names()]).toEqual([0, "", []]);
});

it("an install with another agent directory of pi's installs no git hooks in it", () => {
	const clone = cloneAt("agent/git/example.test/pi-multicodex");
	const { status, names } = prepared(clone, { PI_CODING_AGENT_DIR: scratch.path("agent") });
	expect([status, names()]).toEqual([0, []]);
});

it("an install without the dependencies of development succeeds and installs no git hooks", () => {
	const clone = cloneAt("work/clone");
	rmSync(join(clone, "node_modules"));
	const { status, stderr, names } = prepared(clone);
	expect([status, stderr, names()]).toEqual([0, "", []]);
});

it("an install outside git succeeds", () => {
	const clone = cloneAt("work/clone");
	rmSync(join(clone, ".git"), { recursive: true });
	expect(prepared(clone)).toMatchObject({ status: 0, stderr: "" });
});

it("an install succeeds if the git hooks cannot be written, and says how to learn why", () => {
	const clone = cloneAt("work/clone");
	rmSync(join(clone, ".git/hooks"), { recursive: true });
	writeFileSync(join(clone, ".git/hooks"), "no folder");
	const { status, stderr } = prepared(clone);
	expect([status, stderr]).toEqual([0, "The git hooks could not be installed: npx lefthook install says why.\n"]);
});

it("an install in the folder of a published package, which has no script of hooks, succeeds", () => {
	const clone = cloneAt("node_modules/pi-multicodex");
	rmSync(join(clone, ".ci"), { recursive: true });
	const { status, stderr, names } = prepared(clone);
	expect([status, stderr, names()]).toEqual([0, "", []]);
});

it("no script but that of the hooks runs at an install", () => {
	const lifecycle = Object.keys(manifest.scripts).filter((name) => /^(pre|post)?(install|prepare)$/.test(name));
	expect(lifecycle).toEqual(["prepare"]);
});
