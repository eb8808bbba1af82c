import { tellDefect } from "../../core/defect-reports.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { Clock } from "../../core/ports.ts";
import { type CommandContext, reasonOf } from "../../pi/command.ts";
import { discardingTypeahead } from "../../pi/discard-typeahead.ts";
import { openPanel } from "../../pi/panel.ts";
import { createChainPanel } from "./panel.ts";
import { addTo, type Catalogue, type Changed, moveIn, removeFrom } from "./rules.ts";
import type { ChainView } from "./view.ts";

type ChainChange = (chain: readonly string[]) => Changed | { readonly failure: string };

interface Deps {
	readonly pool: Pick<Pool, "emit" | "subscribe">;
	readonly clock: Clock;
	readonly view: () => ChainView;
	readonly catalogue: Catalogue;
	/** Returns the names of models that could be added. */
	readonly candidates: () => readonly string[];
	/** Returns the chain as stored now. */
	readonly chain: () => readonly string[];
	readonly edit: (change: ChainChange) => Promise<Changed | { readonly failure: string }>;
}

/** Lets the person edit the chain on the screen, saving each change; undefined if this pi cannot show a panel. */
export function editOnScreen(ctx: CommandContext, deps: Deps): Promise<"closed" | undefined> {
	const { pool, view, catalogue, candidates, chain, edit } = deps;
	/** Resolves to why nothing was changed; undefined if it was. One save at a time. */
	let last: Promise<unknown> = Promise.resolve();
	const save = (change: ChainChange): Promise<string | undefined> => {
		const saved = last.then(async () => {
			try {
				const changed = await edit(change);
				return "failure" in changed ? changed.failure : undefined;
			} catch (error) {
				tellDefect(error, "command", pool.emit);
				return `Not saved: ${reasonOf(error)}.`;
			}
		});
		last = saved;
		return saved;
	};
	const open = (held: CommandContext) =>
		openPanel<"closed">(held, { ended: "closed" }, (panel) => {
			panel.onClose(pool.subscribe(() => panel.repaint()));
			return createChainPanel({
				...panel,
				view,
				candidates: () => candidates().filter((name) => !chain().includes(name)),
				look: catalogue.look,
				add: (name) => save((chain) => addTo(chain, name, catalogue)),
				remove: (name) => save((chain) => removeFrom(chain, name)),
				move: (name, step) =>
					save((chain) => {
						const place = chain.indexOf(name) + 1 + step;
						return moveIn(chain, name, String(Math.min(chain.length, Math.max(1, place))));
					}),
				close: () => panel.close("closed"),
			});
		});
	return discardingTypeahead(ctx, deps.clock, open);
}
