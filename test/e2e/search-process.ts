import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import type { ToolName } from "../../src/core/account-source.ts";
import type { Finding } from "../../src/features/import/rules.ts";
import { prepareHost, repositoryRoot } from "../support/hosts.ts";
import { expectNoSecrets, piAuthIn, type Search } from "../unit/features/import/readers.ts";

/** A process of a Node that has SQLite, which searches for sign-ins. */
export interface SearchProcess {
	/** Looks for what `search` names. One search at a time. */
	search(search: Search): Promise<Finding[]>;
	/** Ends the process. Resolves with everything it wrote to standard error. */
	close(): Promise<string>;
}

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
const answerSchema = z.array(z.discriminatedUnion("kind", [login, leftOut]));

const FINDER = pathToFileURL(join(repositoryRoot, "src/features/import/tools/finder.ts")).href;

/** Whatever a reader leaves in the temporary folder can be looked for in the home. */
const PROGRAM = `
	import { createInterface } from "node:readline";
	const { createImportFinder } = await import(${JSON.stringify(FINDER)});
	for await (const line of createInterface({ input: process.stdin })) {
		const { home, env, tool, path, piAuth } = JSON.parse(line);
		Object.assign(process.env, { HOME: home, TMPDIR: home });
		const finder = createImportFinder({ home, env }, piAuth);
		const found = path === undefined ? await finder.find(tool) : await finder.read(path);
		process.stdout.write(JSON.stringify(found ?? []) + "\\n");
	}
`;

/** Starts it. A search that it cannot answer rejects with what it wrote to standard error. */
export async function startSearchProcess(): Promise<SearchProcess> {
	const { node } = await prepareHost("0.87.1");
	const child = spawn(node, ["--input-type=module", "-e", PROGRAM], {
		env: { PATH: process.env.PATH },
		stdio: ["pipe", "pipe", "pipe"],
	});
	let written = "";
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		written += text;
	});
	const ended = once(child, "close");
	const lines = createInterface({ input: child.stdout });
	return {
		async search({ home, env = {}, tool, path }) {
			const answered = once(lines, "line");
			child.stdin.write(`${JSON.stringify({ home, env, tool, path, piAuth: piAuthIn(home) })}\n`);
			const [line] = await Promise.race([answered, ended.then(() => Promise.reject(new Error(written)))]);
			const found = answerSchema.parse(JSON.parse(z.string().parse(line))).map(asFinding);
			expectNoSecrets(found);
			return found;
		},
		async close() {
			child.stdin.end();
			await ended;
			return written;
		},
	};
}

/** What JSON leaves out is undefined in a finding. */
function asFinding(finding: z.infer<typeof answerSchema>[number]): Finding {
	const { name } = finding;
	return finding.kind === "login"
		? { ...finding, name, workspaceIdHint: finding.workspaceIdHint }
		: { ...finding, name };
}
