import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { Account } from "../../core/account.ts";
import type { Subcommand, SubcommandDeps } from "../../pi/command.ts";
import { discardingTypeahead } from "../../pi/discard-typeahead.ts";
import { modeOf, writeFailure } from "../../pi/output.ts";
import { openPanel } from "../../pi/panel.ts";
import { baseUrlOf } from "../../pi/provider.ts";
import { runSubcommand } from "../../pi/run-subcommand.ts";
import { viewOf } from "../../pi/view-of-pool.ts";
import { createListCursor } from "../../ui-kit/list-cursor.ts";
import { disable, enable } from "../accounts/account-toggle.ts";
import { refresh } from "../accounts/refresh.ts";
import { remove } from "../accounts/remove.ts";
import { rename } from "../accounts/rename.ts";
import { nextFor } from "../accounts/successor.ts";
import { add } from "../sign-in/add.ts";
import { login } from "../sign-in/login.ts";
import { createDashboard, type DashboardAction } from "./dashboard.ts";
import { menuTitle } from "./texts.ts";
import { use } from "./use.ts";

/** `/multicodex` without a word: the dashboard, or a menu where there are only dialogs. Tells everything by itself. */
export const dashboard: Subcommand = {
	name: "dashboard",
	usage: "",
	summary: "every account at a glance, with keys for what can be done; without a terminal, show",
	isPanel: () => true,
	run: async (_words, ctx, deps) => {
		const isShown = modeOf(ctx) === "tui" && (await discardingTypeahead(ctx, deps, onScreen));
		if (!isShown) await menu(ctx, deps);
		return undefined;
	},
};

/** What the dashboard's keys do: the subcommands, given an account by its id. */
interface KeyCommand {
	readonly command: Subcommand;
	/** Opens a dialog of its own: the dashboard makes room, and is back afterwards. */
	readonly hasDialog: boolean;
	/** What it comes to is seen in the dashboard. */
	readonly isQuiet?: boolean;
	words(id: string): readonly string[];
}

const nothing = () => [];
const itsId = (id: string) => [id];

const KEY_COMMANDS: Readonly<Record<Exclude<DashboardAction, "close">, KeyCommand>> = {
	use: { command: use, hasDialog: false, words: itsId },
	auto: { command: use, hasDialog: false, words: () => ["auto"] },
	add: { command: add, hasDialog: true, words: nothing },
	login: { command: login, hasDialog: true, words: itsId },
	remove: { command: remove, hasDialog: true, words: itsId },
	enable: { command: enable, hasDialog: false, words: itsId },
	disable: { command: disable, hasDialog: false, words: itsId },
	rename: { command: rename, hasDialog: true, words: itsId },
	refresh: { command: refresh, hasDialog: false, isQuiet: true, words: nothing },
	undo: { command: add, hasDialog: true, words: () => ["--undo"] },
};

/** Usage that is due while the dashboard is open is asked for this often; the monitor says what is due. */
const LOOK_MS = 60_000;

interface Wish {
	readonly action: DashboardAction;
	readonly id: string | undefined;
}

/** Shows the dashboard until it is closed; false where this pi shows no panels. */
async function onScreen(ctx: ExtensionCommandContext, deps: SubcommandDeps): Promise<boolean> {
	const { pool, usage, settings, clock, signal } = deps;
	const view = () => viewOf(pool, settings.read(), clock.now(), nextFor(ctx, deps));
	const { active, pinned } = view();
	const cursor = createListCursor(active ?? pinned);
	const baseUrl = baseUrlOf(ctx);
	if (baseUrl !== undefined) usage.setBaseUrl(baseUrl);
	let asking = 0;
	let removed: string | undefined;
	let wish: Wish | undefined;
	do {
		wish = await openPanel<Wish>(ctx, { signal, ended: { action: "close", id: undefined } }, (host) => {
			const whileAsking = async (work: Promise<unknown>) => {
				asking += 1;
				host.repaint();
				await work;
				asking -= 1;
				host.repaint();
			};
			const lookBehind = () => void whileAsking(usage.refreshStale());
			const looking = setInterval(lookBehind, LOOK_MS);
			host.onClose(() => clearInterval(looking));
			host.onClose(pool.subscribe(() => host.repaint()));
			let isPainted = false;
			const panel = createDashboard({
				...host,
				view,
				cursor,
				isAsking: () => asking > 0,
				lastRotation: deps.lastRotation,
				undoable: () => removed,
				onAction: (action, account) => {
					const key = action === "close" ? undefined : KEY_COMMANDS[action];
					if (!key || key.hasDialog) {
						host.close({ action, id: account?.id });
						return;
					}
					// Its outcome takes the place of the line about the removal.
					if (!key.isQuiet) removed = undefined;
					const done = runSubcommand(key.command, key.words(account?.id ?? ""), ctx, deps, key.isQuiet);
					if (action === "refresh") void whileAsking(done);
				},
			});
			const { render } = panel;
			return Object.assign(panel, {
				render: (width: number) => {
					// What is known is on the screen before anything is asked for.
					if (!isPainted) setImmediate(lookBehind);
					isPainted = true;
					return render(width);
				},
			});
		});
		if (!wish || wish.action === "close") break;
		const { action, id } = wish;
		const label = view().accounts.find(({ account }) => account.id === id)?.account.label;
		const ended = await carryOutWish(action, id, ctx, deps, cursor.put);
		// Who leaves a dialog by Esc goes on in the editor: what is typed next is no key of a dashboard.
		if (ended === "cancelled") break;
		const isGone = action === "remove" && !pool.accounts().some((account) => account.id === id);
		if (isGone) removed = label;
		else if (action !== "remove") removed = undefined;
	} while (!signal.aborted);
	return wish !== undefined;
}

/** What needs a dialog of its own; afterwards an account that has joined is the highlighted one. */
async function carryOutWish(
	action: Exclude<DashboardAction, "close">,
	id: string | undefined,
	ctx: ExtensionCommandContext,
	deps: SubcommandDeps,
	highlight: (id: string) => void,
): Promise<"done" | "cancelled"> {
	const { command, words } = KEY_COMMANDS[action];
	const before = new Set(deps.pool.accounts().map((account) => account.id));
	const ended = await runSubcommand(command, words(id ?? ""), ctx, deps);
	const joined = deps.pool.accounts().find((account) => !before.has(account.id));
	if (joined) highlight(joined.id);
	return ended;
}

/** Where there are only dialogs: the subcommands to choose from, each asking for what it needs. */
async function menu(ctx: ExtensionCommandContext, deps: SubcommandDeps): Promise<void> {
	const { pool, settings, clock, signal, commands } = deps;
	const lines = commands.map(({ name, summary }) => `${name}: ${summary}`);
	const title = menuTitle(viewOf(pool, settings.read(), clock.now(), nextFor(ctx, deps)));
	const chosen = await ctx.ui.select(title, lines, { signal });
	const command = commands[chosen === undefined ? -1 : lines.indexOf(chosen)];
	if (!command) return;
	const words = command.asksAccount ? await accountFor(command, command.asksAccount, ctx, deps) : [];
	if (words) await runSubcommand(command, words, ctx, deps);
}

/** The account that the command is to work on; undefined where the person has chosen none. */
async function accountFor(
	{ name, summary }: Subcommand,
	isOffered: (account: Account) => boolean,
	ctx: ExtensionCommandContext,
	{ pool, signal }: SubcommandDeps,
): Promise<readonly string[] | undefined> {
	const accounts = pool.accounts().filter(isOffered);
	if (accounts.length === 0) {
		writeFailure(ctx, `multicodex ${name}: there is no account for that.`);
		return undefined;
	}
	const labels = accounts.map(({ label }) => label);
	const chosen = await ctx.ui.select(`${name}: ${summary}`, labels, { signal });
	const account = accounts.find(({ label }) => label === chosen);
	return account && [account.id];
}
