// Installs the git hooks of `lefthook.yml` for a contributor: `npm ci` and `npm install` run this as `prepare`.
// It does nothing on a user's machine, where pi clones and installs this package, and never fails an install.
import { spawnSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir, tmpdir } from "node:os";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = realpathSync(join(fileURLToPath(new URL(".", import.meta.url)), ".."));

/** Is `path` in `folder`, at any depth? */
function isWithin(folder, path) {
	const steps = relative(existsSync(folder) ? realpathSync(folder) : resolve(folder), path);
	return steps !== "" && !steps.startsWith("..") && !isAbsolute(steps);
}

/** pi keeps the packages of a user, of a project (`.pi`) and of one run in these folders. */
function isClonedByPi() {
	const agentDir = process.env.PI_CODING_AGENT_DIR || join(homedir(), ".pi", "agent");
	return isWithin(agentDir, root) || isWithin(join(tmpdir(), "pi-extensions"), root) || root.split(sep).includes(".pi");
}

/** The program that npm has installed; undefined where dependencies for development were left out. */
function findLefthook() {
	try {
		return createRequire(join(root, "package.json")).resolve("lefthook");
	} catch {
		return undefined;
	}
}

const lefthook = findLefthook();
const isWanted = !process.env.CI && process.env.LEFTHOOK !== "0" && existsSync(join(root, ".git")) && !isClonedByPi();
if (isWanted && lefthook !== undefined) {
	const { status } = spawnSync(process.execPath, [lefthook, "install"], { cwd: root, stdio: "ignore" });
	if (status !== 0) process.stderr.write("The git hooks could not be installed: npx lefthook install says why.\n");
}
