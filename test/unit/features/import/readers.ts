import { execFile } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import type { Finding, ToolName } from "../../../../src/features/import/rules.ts";
import { createImportFinder } from "../../../../src/features/import/tools/finder.ts";
import { aTokenOf, DAY_MS, type FakeClaims, NOW } from "../../../support/fakes.ts";
import { prepareHost, repositoryRoot } from "../../../support/hosts.ts";
import type { ToolLogin } from "../../../support/import-fixtures.ts";

/** Part of every token here, so that a list can be searched for any of them. */
const MARK = "SECRET";

/** A sign-in of somebody, as a tool keeps it. */
export function aLogin(name: string, overrides: Partial<ToolLogin> & { readonly claims?: FakeClaims } = {}): ToolLogin {
	const { claims, ...rest } = overrides;
	return {
		name,
		access: `${aTokenOf(name, claims)}${MARK}`,
		refresh: `rt_${MARK}_${name}`,
		expires: NOW + 10 * DAY_MS,
		...rest,
	};
}

/** What is looked for: everything one tool keeps, everything of all, or what lies at a path. */
export interface Search {
	readonly home: string;
	readonly env?: Readonly<Record<string, string>>;
	readonly tool?: ToolName;
	readonly path?: string;
}

const piAuthIn = (home: string) => join(home, ".pi/agent/auth.json");

/** Searches in this process. */
export async function search({ home, env = {}, tool, path }: Search): Promise<Finding[] | undefined> {
	const finder = createImportFinder({ home, env }, piAuthIn(home));
	const found = path === undefined ? await finder.find(tool) : await finder.read(path);
	expectNoSecrets(found);
	return found;
}

const run = promisify(execFile);
const login = z.object({
	kind: z.literal("login"),
	tool: z.custom<ToolName>(),
	path: z.string(),
	name: z.string().optional(),
	credential: z.object({ access: z.string(), refresh: z.string(), expiresAt: z.number() }),
	workspaceIdHint: z.string().optional(),
});
const leftOut = z.object({
	kind: z.literal("left-out"),
	tool: z.custom<ToolName>(),
	path: z.string(),
	name: z.string().optional(),
	reason: z.string(),
});

/** Searches in a Node that has SQLite, whatever this one has. Also gives what that process wrote to standard error. */
export async function searchWithSqlite(options: Search): Promise<{ readonly found: Finding[]; readonly said: string }> {
	const { node } = await prepareHost("0.87.1");
	const finderUrl = pathToFileURL(join(repositoryRoot, "src/features/import/tools/finder.ts")).href;
	const program = `
		const { home, env, tool, path, piAuth } = JSON.parse(process.argv[1]);
		const { createImportFinder } = await import(${JSON.stringify(finderUrl)});
		const finder = createImportFinder({ home, env }, piAuth);
		const found = path === undefined ? await finder.find(tool) : await finder.read(path);
		process.stdout.write(JSON.stringify(found ?? []));`;
	const { home, env = {} } = options;
	const request = JSON.stringify({ ...options, env, piAuth: piAuthIn(home) });
	// Whatever a reader leaves in the temporary folder can be looked for in the home.
	const childEnv = { PATH: process.env.PATH, HOME: home, TMPDIR: home };
	const { stdout, stderr } = await run(node, ["--input-type=module", "-e", program, request], { env: childEnv });
	const found = z
		.array(z.discriminatedUnion("kind", [login, leftOut]))
		.parse(JSON.parse(stdout))
		.map((finding): Finding => ({ ...finding, name: finding.name, ...hintOf(finding) }) as Finding);
	expectNoSecrets(found);
	return { found, said: stderr };
}

function hintOf(finding: { kind: string; workspaceIdHint?: string | undefined }): object {
	return finding.kind === "login" ? { workspaceIdHint: finding.workspaceIdHint } : {};
}

/** Nothing but the credential itself may hold a token: all else is shown. */
function expectNoSecrets(found: readonly Finding[] | undefined): void {
	const shown = (found ?? []).map((finding) => ({ ...finding, credential: undefined }));
	if (JSON.stringify(shown).includes(MARK)) throw new Error("a finding shows a token");
}

/** The sign-ins among findings, as `<name>: <refresh token>`. */
export function loginsOf(found: readonly Finding[] | undefined): string[] {
	return (found ?? []).flatMap((each) =>
		each.kind === "login" ? [`${each.name ?? "-"}: ${each.credential.refresh.replace(`rt_${MARK}_`, "")}`] : [],
	);
}

/** What was left out, as `<name> <reason>`. */
export function reasonsOf(found: readonly Finding[] | undefined): string[] {
	return (found ?? []).flatMap((each) => (each.kind === "left-out" ? [`${each.name ?? "-"} ${each.reason}`] : []));
}
