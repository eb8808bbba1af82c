import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { repositoryRoot } from "./hosts.ts";

const run = promisify(execFile);

/** What stays out of the copy that is packed: what is large, and what belongs to the checkout alone. */
const LEFT_OUT = new Set(["node_modules", ".git", "test", "dist"]);

/**
 * Packs this repository as `npm publish` would, and returns the tarball's path. Works on a copy in `folder`, since
 * packing puts another manifest in place of the checkout's for a while.
 */
export async function packRepository(folder: string, version?: string): Promise<string> {
	const copy = join(folder, "checkout");
	mkdirSync(copy, { recursive: true });
	for (const name of readdirSync(repositoryRoot).filter((each) => !LEFT_OUT.has(each))) {
		cpSync(join(repositoryRoot, name), join(copy, name), { recursive: true });
	}
	const pictures = "test/screens/pictures";
	cpSync(join(repositoryRoot, pictures), join(copy, pictures), { recursive: true });
	symlinkSync(join(repositoryRoot, "node_modules"), join(copy, "node_modules"));
	if (version !== undefined) await run("npm", ["pkg", "set", `version=${version}`], { cwd: copy });
	const { stdout } = await run("npm", ["pack", "--pack-destination", folder], { cwd: copy, timeout: 120_000 });
	const name = stdout.trim().split("\n").at(-1) ?? "";
	return join(folder, name);
}

/** Unpacks a tarball beside itself and returns the package's folder. */
export async function unpack(tarball: string): Promise<string> {
	const folder = tarball.replace(/\.tgz$/, "");
	mkdirSync(folder, { recursive: true });
	await run("tar", ["-xzf", tarball, "-C", folder]);
	return join(folder, "package");
}
