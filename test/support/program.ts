import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { bundle } from "../../scripts/bundle.ts";
import type { AgentDir } from "./agent-dir.ts";
import { type PipedProcess, startProcess } from "./child.ts";
import { repositoryRoot } from "./hosts.ts";
import type { LaunchCommand } from "./launch.ts";

/** `pi-multicodex` as the package has it. */
export interface Program {
	/** The file that Node runs. */
	readonly path: string;
	/** The folder of its bundle. */
	readonly dist: string;
	/** A folder for `PATH` that has it by its name. */
	readonly onPath: string;
	/** The environment of a program of this home. */
	env(dir: Pick<AgentDir, "home" | "dir">): Record<string, string>;
	/** Starts it. */
	start(dir: AgentDir, words: readonly string[], more?: Partial<LaunchCommand>): PipedProcess;
	remove(): void;
}

/** Bundles it as `npm pack` does. */
export async function bundleProgram(): Promise<Program> {
	const folder = mkdtempSync(join(realpathSync(tmpdir()), "program-"));
	const [dist, onPath, path] = [join(folder, "dist"), join(folder, "path"), join(folder, "bin/pi-multicodex.cjs")];
	await bundle(dist);
	mkdirSync(onPath);
	cpSync(join(repositoryRoot, "bin"), join(folder, "bin"), { recursive: true });
	cpSync(join(repositoryRoot, "package.json"), join(folder, "package.json"));
	symlinkSync(path, join(onPath, "pi-multicodex"));
	const env = ({ home, dir }: Pick<AgentDir, "home" | "dir">) => ({
		PATH: [onPath, dirname(process.execPath), process.env.PATH ?? ""].join(delimiter),
		HOME: home,
		TZ: "UTC",
		PI_CODING_AGENT_DIR: dir,
	});
	return {
		path,
		dist,
		onPath,
		env,
		start: (dir, words, more = {}) => {
			const usual = { file: process.execPath, args: [path, ...words], cwd: dir.cwd, env: env(dir) };
			return startProcess({ ...usual, ...more }, "ignore");
		},
		remove: () => rmSync(folder, { recursive: true, force: true }),
	};
}
