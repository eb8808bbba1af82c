import type { Account } from "../../core/account.ts";
import { tellDefect } from "../../core/defect-reports.ts";
import type { PoolEvent } from "../../core/events.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { UsageMonitor } from "../../core/pool/usage-monitor.ts";
import type { ForecastSource } from "../../core/ports.ts";
import type { CommandContext, Ended, Given, NoArgs, Subcommand } from "../../pi/command.ts";
import { discardingTypeahead } from "../../pi/discard-typeahead.ts";
import { modeOf, writeFailure } from "../../pi/output.ts";
import { openPanel } from "../../pi/panel.ts";
import { baseUrlOf } from "../../pi/provider.ts";
import type { SessionView } from "../../pi/session-view.ts";
import { createListCursor } from "../../ui-kit/list-cursor.ts";
import { type BackgroundPorts, createBackground } from "./background.ts";
import { createDashboard } from "./dashboard.ts";
import type { DashboardAction } from "./keys.ts";
import { type LastRotation, menuTitle } from "./texts.ts";

interface Ports extends BackgroundPorts {
	readonly pool: Pool;
	readonly usage: Pick<UsageMonitor, "refreshStale" | "setBaseUrl" | "isAsking">;
	readonly session: SessionView;
	readonly forecasts: Pick<ForecastSource, "subscribe">;
}

/**
 * `/multicodex` without a word: the dashboard in a terminal, a menu with dialogs only, `show` if there is no person.
 * The commands that it runs report by themselves.
 */
export function createDashboardCommand(ports: Ports): Subcommand<NoArgs> {
	const { pool, clock } = ports;
	let last: LastRotation | undefined;
	pool.subscribe((event: PoolEvent) => {
		if (event.type === "rotated") last = { at: clock.now(), event };
	});
	return {
		name: "dashboard",
		usage: "",
		summary: "every account at a glance, with keys to act on it; without a terminal, show",
		isPanel: () => true,
		parse: () => ({}),
		run: async (_args, ctx) => {
			if (!ctx.host.hasUI) {
				await ctx.run("show", { words: [] });
				return undefined;
			}
			const show = (held: CommandContext) => onScreen(held, ports, () => last);
			const isShown = modeOf(ctx.host) === "tui" && (await discardingTypeahead(ctx, clock, show));
			if (!isShown) await menu(ctx, ports);
			return undefined;
		},
	};
}

/** The subcommand that a key of the dashboard runs. */
interface KeyCommand {
	readonly command: string;
	/** True if it opens a dialog of its own: the dashboard closes for that long. */
	readonly hasDialog: boolean;
	/** True if the dashboard shows its outcome. */
	readonly isQuiet?: boolean;
	/** The words to run it with. Without them, the highlighted account, or for `undo` the removed one. */
	readonly words?: readonly string[];
}

const KEY_COMMANDS: Readonly<Record<Exclude<DashboardAction, "close">, KeyCommand>> = {
	use: { command: "use", hasDialog: false },
	auto: { command: "use", hasDialog: false, words: ["auto"] },
	add: { command: "add", hasDialog: true, words: [] },
	import: { command: "import", hasDialog: true, words: [] },
	login: { command: "login", hasDialog: true },
	remove: { command: "remove", hasDialog: true },
	enable: { command: "enable", hasDialog: false },
	disable: { command: "disable", hasDialog: false },
	rename: { command: "rename", hasDialog: true },
	refresh: { command: "refresh", hasDialog: false, isQuiet: true, words: [] },
	undo: { command: "add", hasDialog: true },
};

interface Wish {
	readonly action: DashboardAction;
	readonly id: AccountId | undefined;
}

/** An account that was just removed, with its label as shown. */
interface Removed {
	readonly account: Account;
	readonly label: string;
}

/** Shows the dashboard until it is closed; false if this pi cannot show a panel. */
async function onScreen(
	ctx: CommandContext,
	ports: Ports,
	lastRotation: () => LastRotation | undefined,
): Promise<boolean> {
	const { pool, usage, session, forecasts } = ports;
	const view = () => session.pool(ctx.host);
	const { active, pinned } = view();
	const cursor = createListCursor(active ?? pinned);
	const baseUrl = baseUrlOf(ctx.host);
	if (baseUrl !== undefined) usage.setBaseUrl(baseUrl);
	let removed: Removed | undefined;
	let wish: Wish | undefined;
	do {
		wish = await openPanel<Wish>(ctx, { ended: { action: "close", id: undefined } }, (host) => {
			const background = createBackground(ports, host.repaint);
			let isPainted = false;
			host.onClose(pool.subscribe(() => host.repaint()));
			host.onClose(forecasts.subscribe(() => host.repaint()));
			host.onClose(background.end);
			const panel = createDashboard({
				...host,
				view,
				cursor,
				isAsking: usage.isAsking,
				moves: background.moves,
				usedToday: background.usedToday,
				lastRotation,
				undoable: () => removed?.label,
				onAction: (action, account) => {
					const key = action === "close" ? undefined : KEY_COMMANDS[action];
					if (!key || key.hasDialog || (action === "use" && isAtCap(account?.id, pool))) {
						host.close({ action, id: account?.id });
						return;
					}
					// Its outcome replaces the line about the removal.
					if (!key.isQuiet) removed = undefined;
					pressKey(key, held(account?.id, pool), ctx).catch((error: unknown) =>
						tellDefect(error, "command", pool.emit),
					);
					host.repaint();
				},
			});
			const { render } = panel;
			return Object.assign(panel, {
				render: (width: number) => {
					// What is known is on the screen before anything is fetched.
					if (!isPainted) setImmediate(background.begin);
					isPainted = true;
					return render(width);
				},
			});
		});
		if (!wish || wish.action === "close") break;
		const { action, id } = wish;
		const given = action === "undo" ? removed?.account : held(id, pool);
		const label = view().accounts.find(({ account }) => account.id === id)?.account.label;
		const ended = await carryOutWish(KEY_COMMANDS[action], given, ctx, ports, cursor.put);
		// A person who leaves a dialog by Esc continues in the editor. What is typed next is not for the dashboard.
		if (ended === "cancelled") break;
		const isGone = action === "remove" && !pool.accounts().some((account) => account.id === id);
		if (isGone && given && label !== undefined) removed = { account: given, label };
		else if (action !== "remove") removed = undefined;
	} while (!ctx.signal.aborted);
	return wish !== undefined;
}

/** True if pinning the account requires a question. */
function isAtCap(id: AccountId | undefined, pool: Pool): boolean {
	return id !== undefined && pool.atCap().has(id);
}

/** Runs the subcommand of a key. */
async function pressKey(
	{ command, words, isQuiet = false }: KeyCommand,
	account: Account | undefined,
	ctx: CommandContext,
): Promise<Ended> {
	const given: Given | undefined = words ? { words } : account && { account };
	if (given) return ctx.run(command, given, { isQuiet });
	writeFailure(ctx.host, `multicodex ${command}: that account is no longer in the pool.`);
	return "done";
}

/** Returns the account as it is now. The one on the screen may be masked, or gone. */
function held(id: AccountId | undefined, pool: Pool): Account | undefined {
	return pool.account(id);
}

/** Runs a key that needs its own dialog. Afterwards, an account that has joined is highlighted. */
async function carryOutWish(
	key: KeyCommand,
	account: Account | undefined,
	ctx: CommandContext,
	ports: Ports,
	highlight: (id: string) => void,
): Promise<Ended> {
	const { pool } = ports;
	const before = new Set(pool.accounts().map(({ id }) => id));
	const ended = await pressKey(key, account, ctx);
	const joined = pool.accounts().find(({ id }) => !before.has(id));
	if (joined) highlight(joined.id);
	return ended;
}

/** With dialogs only: offers the subcommands, each of which asks for what it needs. */
async function menu(ctx: CommandContext, { pool, session }: Ports): Promise<void> {
	const { host, signal } = ctx;
	// The first one is this menu.
	const commands = ctx.commands.slice(1);
	const lines = commands.map(({ name, summary }) => `${name}: ${summary}`);
	const chosen = await host.ui.select(menuTitle(session.pool(host)), lines, { signal });
	const command = commands[chosen === undefined ? -1 : lines.indexOf(chosen)];
	if (!command) return;
	const { name, onAccount } = command;
	const isOffered = onAccount?.isOffered;
	const given = isOffered ? await chooseAccount(command, isOffered, ctx, pool) : { words: [] };
	if (given) await ctx.run(name, given);
}

/** Returns the account that the command should use; undefined if the person has chosen none. */
async function chooseAccount(
	{ name, summary }: Subcommand,
	isOffered: (account: Account) => boolean,
	{ host, signal }: CommandContext,
	pool: Pool,
): Promise<{ readonly account: Account } | undefined> {
	const accounts = pool.accounts().filter(isOffered);
	if (accounts.length === 0) {
		writeFailure(host, `multicodex ${name}: there is no account for that.`);
		return undefined;
	}
	const labels = accounts.map(({ label }) => label);
	const chosen = await host.ui.select(`${name}: ${summary}`, labels, { signal });
	const account = accounts.find(({ label }) => label === chosen);
	return account && { account };
}
