import { spawn } from "node:child_process";
import { once } from "node:events";
import { parseArgs, stripVTControlCharacters } from "node:util";
import { identityOf } from "../../src/platform/backend/jwt.ts";
import { type AgentDir, createAgentDir } from "../support/agent-dir.ts";
import { answers, type FakeCodex, startFakeCodex } from "../support/fake-codex/index.ts";
import { type Host, prepareHost } from "../support/hosts.ts";
import { launchCommand } from "../support/launch.ts";
import { startRpc } from "../support/pi.ts";
import type { Rpc } from "../support/rpc.ts";

/** The main job in front of a viewer: a real pi, three accounts on a fake backend, two of which run out. */

const HOUR_MS = 3_600_000;
const PROMPTS = [
	"Name a planet.",
	"Name another one.",
	"And a third one.",
	"Which of them is the largest?",
	"Which has rings?",
	"Thank you.",
];

/** Two of the three run out: one is refused with a 429, the other's headers say that it is spent. */
const ACCOUNTS = [
	{ name: "work", plan: "plus", used: 52, cost: 24, weekUsed: 8, resetsInMs: 1.1 * HOUR_MS },
	{ name: "personal", plan: "pro", used: 61, cost: 14, weekUsed: 42, resetsInMs: 2.5 * HOUR_MS },
	{ name: "side", plan: "plus", used: 5, cost: 3, weekUsed: 60, resetsInMs: 4 * HOUR_MS },
] as const;

/** Who is signed in at the browser, so that there is one more account to add. */
const STRANGER = "newcomer";

async function startBackend(): Promise<FakeCodex> {
	const codex = await startFakeCodex({
		accounts: [
			...ACCOUNTS.map(({ name, plan, used, cost, weekUsed, resetsInMs }, position) => ({
				name,
				plan,
				quota: {
					fiveHour: { usedPercent: used, resetsInMs },
					week: { usedPercent: weekUsed, resetsInMs: (position + 2) * 24 * HOUR_MS },
					costPerRequestPercent: { fiveHour: cost, week: 1 },
				},
			})),
			{ name: STRANGER },
		],
	});
	const answerOf = (name: string) => answers.text(`Answered by the account "${name}".`, { delayMs: 25 });
	for (const { name } of codex.accounts) codex.account(name).always(answerOf(name));
	codex.signIn(STRANGER);
	const refusal = answers.usageLimit({ resetsInMs: 2.5 * HOUR_MS });
	codex.account("personal").next(answerOf("personal"), answerOf("personal"), refusal);
	return codex;
}

/** The first account is pi's own login, the others were added before. Nothing of the person's own pi is read. */
function prepareAgentDir(codex: FakeCodex): AgentDir {
	const [first, ...others] = ACCOUNTS.map(({ name }) => name);
	const rows = others.map((name) => {
		const credential = codex.grant(name);
		const identity = identityOf(credential.access);
		if (!identity) throw new Error("the fake backend gave a token without an identity");
		return { id: identity.id, label: name, email: identity.email, workspaceId: identity.workspaceId, credential };
	});
	return createAgentDir({
		baseUrl: codex.baseUrl,
		auth: { "openai-codex": codex.piAuthEntry(first ?? "work") },
		accounts: { version: 2, accounts: rows },
	});
}

function say(line: string): void {
	process.stdout.write(`${process.stdout.isTTY ? line : stripVTControlCharacters(line)}\n`);
}

/** Prints what pi shows, as it comes: notices, and the footer whenever it says something new. */
function narrate(rpc: Rpc): () => void {
	let notices = 0;
	let footer: string | undefined;
	return () => {
		for (; notices < rpc.notifications.length; notices += 1) {
			for (const line of rpc.notifications[notices]?.message.split("\n") ?? []) say(`  | ${line}`);
		}
		const status = rpc.status("multicodex");
		if (status !== footer) say(`  footer: ${status ?? ""}`);
		footer = status;
	};
}

async function showRotation(host: Host, dir: AgentDir, codex: FakeCodex): Promise<void> {
	const rpc = startRpc(host, dir, ["--no-tools"], { env: { PI_MULTICODEX_AUTH_URL: codex.issuer } });
	const printNews = narrate(rpc);
	try {
		await rpc.waitFor((event) => event.type === "extension_ui_request" && event.method === "setStatus", 30_000);
		for (const prompt of PROMPTS) {
			say(`\n> ${prompt}`);
			const turn = await rpc.prompt(prompt);
			printNews();
			say(turn.errorMessage ? `  error: ${turn.errorMessage}` : `  ${turn.text}`);
		}
		say("\n> /multicodex show");
		await rpc.send("/multicodex show");
		printNews();
	} finally {
		await rpc.close();
	}
	say("\nWhat the backend saw:");
	for (const { name } of ACCOUNTS) {
		const requests = codex.responsesRequests(name);
		const refused = requests.filter(({ status }) => status === 429).length;
		say(`  ${name}: ${requests.length - refused} answered, ${refused} refused`);
	}
}

async function openTerminal(host: Host, dir: AgentDir, codex: FakeCodex): Promise<void> {
	const { file, args, cwd, env } = launchCommand(host, dir, ["--no-tools"], {
		env: {
			PI_MULTICODEX_AUTH_URL: codex.issuer,
			NO_COLOR: undefined,
			TERM: process.env.TERM,
			COLORTERM: process.env.COLORTERM,
			TZ: process.env.TZ,
		},
	});
	const child = spawn(file, args, { cwd, env, stdio: "inherit" });
	await once(child, "exit");
}

const { values } = parseArgs({
	options: { tui: { type: "boolean", default: false }, fleet: { type: "boolean", default: false } },
});
if (values.fleet) {
	const { runFleetDemo } = await import("./fleet.ts");
	await runFleetDemo();
	process.exit(0);
}
say(
	"A real pi 0.73.1 with this extension, in a temporary agent directory, on a fake Codex backend with three accounts.",
);
const host = await prepareHost("0.73.1");
const codex = await startBackend();
const dir = prepareAgentDir(codex);
try {
	await (values.tui ? openTerminal(host, dir, codex) : showRotation(host, dir, codex));
} finally {
	await codex.close();
	dir.remove();
}
