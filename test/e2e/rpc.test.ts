import { describe, expect, it, vi } from "vitest";
import {
	capSchema,
	chainSchema,
	logSchema,
	onlySchema,
	redeemSchema,
	showSchema,
	usageSchema,
	verifySchema,
	whySchema,
} from "../../src/pi/json-schemas.ts";
import { LISTED } from "../support/commands.ts";
import { type HostName, hostNames } from "../support/hosts.ts";
import { writeTool } from "../support/import-fixtures.ts";
import type { Dialog, DialogAnswer, Rpc } from "../support/rpc.ts";
import { coreOf } from "../support/tiers.ts";
import { DEVICE_CODE, noticeAfter, PATIENCE_MS, readCode } from "./sign-in-support.ts";
import { type Bench, createBench } from "./support.ts";

vi.setConfig({ testTimeout: 300_000 });

/** A bench, and a client of a pi on it. */
interface Setup {
	readonly bench: Bench;
	readonly rpc: Rpc;
}

/** What a command asks by a dialog. */
interface Question {
	readonly method: Dialog["method"];
	/** Without one the dialog stays open until the command is over, and is answered too late. */
	readonly answer?: (dialog: Dialog) => DialogAnswer;
	/** The notice where it is cancelled; undefined: none. */
	readonly cancelled: RegExp | undefined;
}

/** One command over the protocol. */
interface Row {
	/** The words after `/multicodex`. */
	readonly line: string;
	/** Without one there must be no dialog. */
	readonly asks?: Question;
	/** What happens outside pi while the command waits; `from`: notices before it. */
	readonly meanwhile?: (setup: Setup, from: number) => Promise<void>;
	/** The last notice. */
	readonly says: RegExp;
	/** The same notice is a document of this schema. */
	readonly schema?: { parse(document: unknown): unknown };
	/** False where no account may answer a prompt afterwards. */
	readonly isServing?: false;
}

const UNCHANGED = /^Nothing was changed\.$/;
const confirm = (cancelled: RegExp): Question => ({ method: "confirm", answer: () => true, cancelled });
const waiting: Question = { method: "select", cancelled: UNCHANGED };
const approve =
	(name: string): NonNullable<Row["meanwhile"]> =>
	async ({ bench, rpc }, from) =>
		bench.codex.device.approve(name, readCode(await noticeAfter(rpc, from, DEVICE_CODE)));

/** Every subcommand, each in a state that those before it have left. */
const ROWS: Readonly<Record<string, readonly Row[]>> = {
	dashboard: [
		{
			line: "",
			asks: {
				method: "select",
				answer: ({ options }) => options.find((option) => option.startsWith("path:")),
				cancelled: undefined,
			},
			says: /codex-accounts\.json/,
		},
	],
	show: [
		{ line: "show", says: /^2 of 3 ready/ },
		{ line: "show --json", says: /^\{/, schema: showSchema },
	],
	use: [
		{
			line: "use",
			asks: { method: "select", answer: () => "b", cancelled: UNCHANGED },
			says: /^Codex: using b in all sessions/,
		},
		{ line: "use auto", says: /accounts are chosen automatically\. The next request goes to [ab]\.$/ },
	],
	next: [
		{
			line: "next",
			says: /^Codex: this session continues on [ab], 100% of its 5h limit left\. \/multicodex use [ab] goes back\.$/,
		},
		{ line: "next", says: /^Codex: this session continues on [ab], / },
	],
	only: [
		{ line: "only", says: / may use every account\. / },
		{ line: "only a b", says: / use a and b, and no other account\. The next request goes to [ab]\.$/ },
		{ line: "only --json", says: /^\{/, schema: onlySchema },
		{ line: "only all", says: / has ended: sessions there may use every account again\. / },
	],
	cap: [
		{ line: "cap", says: /^No account has a cap\. / },
		{ line: "cap b week=20", says: /^Codex: b is used only down to its cap: 20% of the week is kept/ },
		{ line: "cap --json", says: /^\{/, schema: capSchema },
		{ line: "cap off", says: /^Codex: no account has a cap now\.$/ },
	],
	add: [{ line: "add new --device", asks: waiting, meanwhile: approve("d"), says: /^Codex: added new\./ }],
	login: [{ line: "login --device", asks: waiting, meanwhile: approve("c"), says: /^Codex: c is signed in again/ }],
	import: [
		{ line: "import --dry-run", says: /new: e@example\.test/ },
		{ line: "import", asks: confirm(/^Nothing was imported\.$/), says: /^Codex: imported e\./ },
	],
	rename: [
		{
			line: "rename b",
			asks: { method: "input", answer: () => "work", cancelled: UNCHANGED },
			says: /^Codex: b is called work now\.$/,
		},
		{ line: "rename work b", says: /^Codex: work is called b now\.$/ },
	],
	disable: [{ line: "disable b", says: /^Codex: b is off\. The next request goes to a\. / }],
	enable: [{ line: "enable b", says: /^Codex: b is on again\. The next request goes to [ab]\.$/ }],
	refresh: [{ line: "refresh a", says: /^a {2}5h 100% left/ }],
	footer: [
		{ line: "footer", says: /^usage +left/ },
		{ line: "footer usage=used", says: /^usage +used/ },
	],
	rotation: [
		{ line: "rotation", says: /^policy +soonest-reset/ },
		{ line: "rotation policy=in-order", says: /^policy +in-order/ },
	],
	beyond: [
		{ line: "beyond", says: /^credits +own/ },
		{ line: "beyond credits=ask", says: /^credits +ask/ },
		{ line: "beyond forget", says: /^There is no consent for today to end\.$/ },
	],
	notify: [
		{ line: "notify", says: /^to +off/ },
		{ line: "notify to=terminal quiet=22-7", says: /^to +terminal/ },
		{ line: "notify test", says: /^Nothing is sent: this pi does not run in a terminal\.$/ },
	],
	chain: [
		{ line: "chain", says: /^The chain is empty: / },
		{ line: "chain --json", says: /^\{/, schema: chainSchema },
		{ line: "chain clear", says: /^The chain was already empty\.$/ },
	],
	why: [
		{ line: "why", says: / serves next \(in-order\)/ },
		{ line: "why --json", says: /^\{/, schema: whySchema },
	],
	log: [
		{ line: "log 50", says: /: started, / },
		{ line: "log --json", says: /^\{/, schema: logSchema },
	],
	usage: [
		{ line: "usage", says: /^Usage in the last 7 days, by account: / },
		{ line: "usage today --by project --json", says: /^\{/, schema: usageSchema },
		{ line: "usage --forget", asks: confirm(/^Nothing was deleted\.$/), says: /^Deleted what was counted\.$/ },
	],
	remove: [
		{ line: "remove b", asks: confirm(/^Nothing was removed\.$/), says: /^Codex: removed b\./ },
		{ line: "add --undo", says: /^Codex: b is back\.$/ },
	],
	redeem: [
		{ line: "redeem", says: /^No Codex account has a reset credit/ },
		{ line: "redeem --json", says: /^\{/, schema: redeemSchema },
	],
	reset: [
		{ line: "reset quota", says: /^Accounts that rested .* The next request goes to a\.$/ },
		{ line: "reset", says: /^Unpinned, and .* The next request goes to a\.$/ },
		{ line: "reset backups", asks: confirm(/^Nothing was deleted\.$/), says: /^Deleted 1 backup\.$/ },
	],
	verify: [
		{ line: "verify", says: /^No problems found\./ },
		{ line: "verify --json", says: /^\{/, schema: verifySchema },
	],
	share: [{ line: "share", says: /^This machine has joined no shared pool\./ }],
	// They need a database: test/e2e/share.test.ts.
	join: [],
	leave: [],
	off: [{ line: "off", says: /^pi-multicodex is off, here/, isServing: false }],
	on: [{ line: "on", says: /^pi-multicodex is on again\./ }],
	path: [{ line: "path", says: /codex-accounts\.json/ }],
	help: [{ line: "help", says: /^\/multicodex/ }],
};

/** Two accounts that are ready, one that is signed out, one that is not added, and one that another tool has. */
async function startRpc(host: HostName = "0.73.1"): Promise<Setup> {
	const bench = await createBench({
		host,
		accounts: ["a", "b", "c"],
		strangers: ["d", "e"],
		rows: { c: { needsLogin: { reason: "refresh_token_expired", at: Date.now() } } },
	});
	bench.excuse(await writeTool("codex", bench.dir.home, [{ name: "e", ...bench.codex.grant("e") }]));
	return { bench, rpc: bench.rpc() };
}

const dialogsOf = ({ events }: Rpc) =>
	events.filter(({ method }) => ["select", "confirm", "input", "editor"].includes(String(method))).length;

/** Gives the command of a row, with its dialog cancelled where that is wanted; what was said, one string a notice. */
async function give(row: Row, setup: Setup, isCancelling: boolean): Promise<string[]> {
	const { rpc } = setup;
	const { line, asks, meanwhile } = row;
	const [notices, dialogs] = [rpc.notifications.length, dialogsOf(rpc)];
	const done = rpc.send(`/multicodex ${line}`, 2 * PATIENCE_MS);
	// The test waits for it below; until then a failure is not an unhandled rejection.
	done.catch(() => undefined);
	if (asks) {
		const dialog = await rpc.waitForDialog(PATIENCE_MS);
		expect([line, dialog.method]).toEqual([line, asks.method]);
		if (isCancelling) rpc.answer(dialog, undefined);
		else if (asks.answer) rpc.answer(dialog, asks.answer(dialog));
		else {
			await meanwhile?.(setup, notices);
			await done;
			rpc.answer(dialog, undefined);
		}
	}
	await done;
	expect([line, dialogsOf(rpc) - dialogs]).toEqual([line, asks ? 1 : 0]);
	const told = rpc.notifications.slice(notices);
	expect([line, told.filter(({ level }) => level !== "info")]).toEqual([line, []]);
	return told.map(({ message }) => message);
}

const stored = ({ dir }: Bench) => ["codex-accounts.json", "settings.json"].map((name) => dir.read(name));

describe("every subcommand, by the protocol", () => {
	it("every subcommand has a row in this file", () => {
		expect(Object.keys(ROWS).sort()).toEqual(LISTED.map(({ name }) => name).sort());
	});

	it.each(coreOf(hostNames))(
		"answers by notices alone, whether its dialog is cancelled or answered, and pi goes on: pi %s",
		async (host) => {
			const setup = await startRpc(host);
			const { bench, rpc } = setup;
			await rpc.prompt("say hi");
			for (const row of Object.values(ROWS).flat()) {
				if (row.asks) {
					const before = [...stored(bench), bench.pin()];
					const told = await give(row, setup, true);
					const { cancelled } = row.asks;
					if (cancelled) expect([row.line, told.at(-1)]).toEqual([row.line, expect.stringMatching(cancelled)]);
					else expect([row.line, told]).toEqual([row.line, []]);
					expect([...stored(bench), bench.pin()]).toEqual(before);
				}
				const said = (await give(row, setup, false)).at(-1) ?? "";
				expect([row.line, said]).toEqual([row.line, expect.stringMatching(row.says)]);
				row.schema?.parse(JSON.parse(said));
				const served = await rpc.prompt("say hi").then(
					({ text }) => /^OK from /.test(text),
					() => false,
				);
				expect([row.line, served]).toEqual([row.line, row.isServing ?? true]);
			}
			expect(rpc.strayLines).toEqual([]);
			expect(await rpc.close(PATIENCE_MS)).toMatchObject({ code: 0, stderr: "" });
		},
	);

	it.each(coreOf(hostNames))(
		"changes nothing if its dialog is never answered, and pi ends with its client: pi %s",
		async (host) => {
			const { bench, rpc } = await startRpc(host);
			await rpc.prompt("say hi");
			const before = [...stored(bench), bench.pin()];
			const asking = Object.values(ROWS).flatMap((rows) => rows.filter(({ asks }) => asks));
			for (const { line } of asking) {
				const dialogs = dialogsOf(rpc);
				rpc.send(`/multicodex ${line}`, 2 * PATIENCE_MS).catch(() => undefined);
				await expect.poll(() => dialogsOf(rpc), { timeout: PATIENCE_MS }).toBe(dialogs + 1);
			}
			expect((await rpc.prompt("say hi")).text).toMatch(/^OK from /);
			expect(rpc.strayLines).toEqual([]);
			expect(await rpc.close(PATIENCE_MS)).toMatchObject({ signal: null, stderr: "" });
			expect([...stored(bench), bench.pin()]).toEqual(before);
		},
	);
});
