import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "../bundle.ts";

/**
 * Prints which version the commits since the last tag would release, with its notes. Works on a clone of this checkout
 * and contacts neither GitHub nor npm. Only the tools are installed once, from their lock file.
 */

const tools = join(root, "scripts/release");
if (!existsSync(join(tools, "node_modules"))) {
	execFileSync("npm", ["ci", "--prefix", tools, "--ignore-scripts", "--no-audit", "--no-fund"], { stdio: "inherit" });
}
const folder = mkdtempSync(join(tmpdir(), "release-"));
try {
	const [origin, clone] = [join(folder, "origin.git"), join(folder, "clone")];
	const git = (...args: string[]) => execFileSync("git", args, { cwd: root, stdio: "pipe" });
	git("clone", "--quiet", "--bare", root, origin);
	git("-C", origin, "branch", "--force", "main", git("rev-parse", "HEAD").toString().trim());
	git("clone", "--quiet", "--branch", "main", origin, clone);
	const { status } = spawnSync(
		process.execPath,
		[
			join(tools, "node_modules/semantic-release/bin/semantic-release.js"),
			"--dry-run",
			"--no-ci",
			"--repository-url",
			pathToFileURL(origin).href,
			"--plugins",
			"@semantic-release/commit-analyzer,@semantic-release/release-notes-generator",
		],
		{ cwd: clone, stdio: "inherit", env: { PATH: process.env.PATH, HOME: process.env.HOME } },
	);
	process.exitCode = status ?? 1;
	if (git("tag", "--list", "v*").length === 0) {
		process.stdout.write(
			"There is no version tag yet: the first version is published by hand, see docs/development.md.\n",
		);
	}
} finally {
	rmSync(folder, { recursive: true, force: true });
}
