import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAgentDir } from "../support/agent-dir.ts";
import { answers, startFakeCodex } from "../support/fake-codex/index.ts";
import { NEWEST_HOST, prepareHost } from "../support/hosts.ts";
import { startTerminal, type Terminal } from "../support/terminal.ts";
import { keep, line, median, option } from "./options.ts";
import { packageInto } from "./package.ts";
import { accountRows } from "./stored-pool.ts";

/**
 * How long the dashboard takes from Enter to its first frame, in a real pi in a terminal: the first time in a session,
 * which loads it, and later, by turns with a panel of pi's own. `--host 1.6.0`, `--rounds 9`, `--json <file>`.
 */

const ROUNDS = Number(option("rounds") ?? 9);
const TOTALS = [1, 20, 1000];
const LONGEST_MS = 30_000;
/** A panel that is drawn anew may come with a late frame of what was before it. */
const QUIET_MS = 300;

interface Panel {
	readonly command: string;
	/** Is on the screen as long as the panel is. */
	readonly sign: string;
}
const DASHBOARD: Panel = { command: "/multicodex", sign: "esc close" };
const OWN: Panel = { command: "/settings", sign: "Auto-compact" };

const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Opens a panel and closes it. Resolves to the ms from Enter to its first frame. */
async function open(terminal: Terminal, { command, sign }: Panel): Promise<number> {
	await terminal.type(command);
	await later(QUIET_MS);
	const begun = performance.now();
	const pressed = terminal.press("enter");
	await terminal.waitForText(sign, LONGEST_MS);
	const ms = performance.now() - begun;
	await pressed;
	await later(QUIET_MS);
	await terminal.press("escape");
	await terminal.waitForScreen((screen) => !screen.includes(sign), LONGEST_MS);
	await later(QUIET_MS);
	return ms;
}

/** Usage of every account, as of now: nothing is asked for when the dashboard opens. */
function stateOf(rows: readonly { readonly id: string | undefined }[]) {
	const now = Date.now();
	const windows = [300, 10_080].map((windowMinutes, at) => ({
		usedPercent: 10 + at,
		windowMinutes,
		resetsAt: now + windowMinutes * 30_000,
	}));
	const usage = { capturedAt: now, source: "api", windows, limits: {}, limitReached: false };
	const accounts = Object.fromEntries(rows.map(({ id }) => [id, { cooldowns: [], usage }]));
	return { version: 1, pin: null, lastChosen: null, live: {}, accounts };
}

const folder = mkdtempSync(join(realpathSync(tmpdir()), "bench-"));
const extension = await packageInto(join(folder, "package"));
const host = await prepareHost(option("host") ?? NEWEST_HOST);

async function measure(total: number) {
	const names = Array.from({ length: total }, (_, at) => `account-${at}`);
	const codex = await startFakeCodex({ accounts: names });
	for (const account of codex.accounts) account.usage(answers.serverError(503));
	const rows = accountRows(codex, names);
	const dir = createAgentDir({
		baseUrl: codex.baseUrl,
		accounts: { version: 2, accounts: rows },
		state: stateOf(rows),
	});
	const terminal = startTerminal(host, dir, [], {
		cols: 120,
		rows: 40,
		extension,
		env: { PI_MULTICODEX_AUTH_URL: codex.issuer },
	});
	try {
		await terminal.ready(LONGEST_MS);
		await later(QUIET_MS);
		const firstMs = await open(terminal, DASHBOARD);
		const firstOwnMs = await open(terminal, OWN);
		const rounds: { readonly dashboard: number; readonly own: number }[] = [];
		for (let round = 0; round < ROUNDS; round += 1) {
			const early = round % 2 === 0 ? await open(terminal, DASHBOARD) : undefined;
			const own = await open(terminal, OWN);
			rounds.push({ own, dashboard: early ?? (await open(terminal, DASHBOARD)) });
		}
		return { total, firstMs, firstOwnMs, rounds };
	} finally {
		await terminal.stop();
		await codex.close();
		dir.remove();
	}
}

try {
	const figures: Awaited<ReturnType<typeof measure>>[] = [];
	for (const total of TOTALS) {
		const measured = await measure(total);
		const { firstMs, rounds } = measured;
		const [dashboard, own] = [median(rounds.map((each) => each.dashboard)), median(rounds.map((each) => each.own))];
		const ratio = median(rounds.map((each) => each.dashboard / each.own));
		const name = `pi ${host.name}, ${total} account${total === 1 ? "" : "s"}: Enter to the dashboard`;
		const text = `${dashboard.toFixed(0)} ms, ${ratio.toFixed(2)} times pi's own settings (${own.toFixed(0)} ms)`;
		line(name, `${text}; the first time ${firstMs.toFixed(0)} ms`);
		figures.push(measured);
	}
	keep({ host: host.name, figures });
} finally {
	rmSync(folder, { recursive: true, force: true });
}
