import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	realpathSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

type JsonObject = Readonly<Record<string, unknown>>;

/** What a temporary agent directory starts with. Objects are written as JSON, strings as they are. */
export interface AgentDirOptions {
	/** Content of `auth.json`; absent: no such file. */
	readonly auth?: JsonObject | string;
	/** Content of `models.json`; wins over `baseUrl`. */
	readonly models?: JsonObject | string;
	/** Base URL of the fake backend, ending in `/backend-api`; becomes the `openai-codex` override in `models.json`. */
	readonly baseUrl?: string;
	/** Merged (top level) over the quiet defaults of `settings.json`. */
	readonly settings?: JsonObject;
	/** Content of `codex-accounts.json`; absent: no such file. */
	readonly accounts?: JsonObject | string;
	/** Content of `codex-state.json`; absent: no such file. */
	readonly state?: JsonObject | string;
}

/** A temporary HOME with pi's agent directory inside. */
export interface AgentDir {
	readonly home: string;
	/** `<home>/.pi/agent`. */
	readonly dir: string;
	/** An empty folder inside the home: the default working directory of every pi started with this agent directory. */
	readonly cwd: string;
	/** Absolute path of a file in `dir`. */
	path(name: string): string;
	/** Content of a file in `dir`, or undefined when there is none. */
	read(name: string): string | undefined;
	/** Parsed content of a file in `dir`, or undefined when there is none. Throws when it is not JSON. */
	readJson(name: string): unknown;
	/** Writes a file into `dir`, mode 0600; objects as JSON. */
	write(name: string, content: JsonObject | string): void;
	/** As `write`, in one step: no reader finds a part of it. For files of a pi that runs. */
	replace(name: string, content: JsonObject | string): void;
	/** Deletes the whole home. */
	remove(): void;
}

// Without these pi shows a start-up banner, asks about analytics or counts the run as an update.
const quietSettings: JsonObject = {
	quietStartup: true,
	collapseChangelog: true,
	enableInstallTelemetry: false,
	enableAnalytics: false,
	lastChangelogVersion: "99.0.0",
	defaultProvider: "openai-codex",
	defaultModel: "gpt-5.5",
};

function toText(content: JsonObject | string): string {
	return typeof content === "string" ? content : `${JSON.stringify(content, null, 2)}\n`;
}

/** Creates a temporary HOME for one test. The caller removes it with `remove()`. */
export function createAgentDir(options: AgentDirOptions = {}): AgentDir {
	// Resolved because pi prints and compares real paths; the temporary folder is a symlink on some systems.
	const home = mkdtempSync(join(realpathSync(tmpdir()), "pi-home-"));
	const dir = join(home, ".pi/agent");
	const cwd = join(home, "work");
	mkdirSync(dir, { recursive: true, mode: 0o700 });
	chmodSync(dir, 0o700);
	mkdirSync(cwd);

	const path = (name: string): string => join(dir, name);
	const write = (name: string, content: JsonObject | string): void => {
		writeFileSync(path(name), toText(content), { mode: 0o600 });
	};
	const replace = (name: string, content: JsonObject | string): void => {
		write(`${name}.next`, content);
		renameSync(path(`${name}.next`), path(name));
	};
	const read = (name: string): string | undefined =>
		existsSync(path(name)) ? readFileSync(path(name), "utf8") : undefined;
	const readJson = (name: string): unknown => {
		const text = read(name);
		return text === undefined ? undefined : JSON.parse(text);
	};

	// pi looks for these helpers here first. Without them its screen carries two warnings on some machines and not on
	// others.
	mkdirSync(path("bin"));
	for (const tool of ["bin/fd", "bin/rg"]) {
		write(tool, "#!/bin/sh\nexit 1\n");
		chmodSync(path(tool), 0o755);
	}
	write("settings.json", { ...quietSettings, ...options.settings });
	if (options.models !== undefined) write("models.json", options.models);
	else if (options.baseUrl !== undefined) {
		write("models.json", { providers: { "openai-codex": { baseUrl: options.baseUrl } } });
	}
	if (options.auth !== undefined) write("auth.json", options.auth);
	if (options.accounts !== undefined) write("codex-accounts.json", options.accounts);
	if (options.state !== undefined) write("codex-state.json", options.state);

	// Retries: a pi that was just killed may still be creating a file.
	const remove = (): void => rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
	return { home, dir, cwd, path, read, readJson, write, replace, remove };
}
