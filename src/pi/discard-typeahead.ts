import type { ExtensionCommandContext, ExtensionUIContext } from "@mariozechner/pi-coding-agent";
import type { Component } from "@mariozechner/pi-tui";
import type { Clock } from "../core/ports.ts";
import type { CommandContext } from "./command.ts";
import { own } from "./mask-emails.ts";

/** Maximum time for which typing is discarded. Between two panels an account may wait for a lock. */
const LONGEST_HOLD_MS = 1000;

/**
 * Runs work that shows panels and dialogs one after the other, through the context that it is given. Between two of
 * them pi's editor would receive the keys: what the person types ahead would appear there, and Enter would send it to
 * the model. Such keys are dropped until the next panel or dialog takes them.
 */
export async function discardingTypeahead<T>(
	ctx: CommandContext,
	clock: Clock,
	work: (ctx: CommandContext) => Promise<T>,
): Promise<T> {
	const now = () => clock.now();
	/** Since when nothing on the screen takes keys; undefined while something does. */
	let freeSince: number | undefined = now();
	const release = ctx.host.ui.onTerminalInput(() =>
		freeSince !== undefined && now() - freeSince < LONGEST_HOLD_MS ? { consume: true } : undefined,
	);
	const whileOpen = async <T>(ask: () => Promise<T>): Promise<T> => {
		freeSince = undefined;
		try {
			return await ask();
		} finally {
			freeSince = now();
		}
	};
	// Wraps the UI in a proxy, since no host reports which of its panels and dialogs takes keys.
	const heldUi = (ui: ExtensionUIContext): ExtensionUIContext => {
		const held: Partial<ExtensionUIContext> = {
			select: (...asked) => whileOpen(() => ui.select(...asked)),
			confirm: (...asked) => whileOpen(() => ui.confirm(...asked)),
			input: (...asked) => whileOpen(() => ui.input(...asked)),
			custom: (create, options) =>
				ui.custom((tui, theme, keys, done) => {
					let isOver = false;
					// pi shows a new component a moment later. The rest of what was typed has no receiver until then.
					const onFirstRender = <C extends Component>(component: C): C => {
						const { render } = component;
						return Object.assign(component, {
							render: (width: number) => {
								if (!isOver) freeSince = undefined;
								return render.call(component, width);
							},
						});
					};
					const made = create(tui, theme, keys, (result) => {
						if (!isOver) freeSince = now();
						isOver = true;
						done(result);
					});
					return made instanceof Promise ? made.then(onFirstRender) : onFirstRender(made);
				}, options),
		};
		return new Proxy(ui, { get: (target, key) => Reflect.get(held, key) ?? own(target, key) });
	};
	try {
		// A stale context throws here as it always does.
		const get = (target: ExtensionCommandContext, key: string | symbol) =>
			key === "ui" ? heldUi(target.ui) : Reflect.get(target, key);
		return await work(ctx.on(new Proxy(ctx.host, { get })));
	} finally {
		release();
	}
}
