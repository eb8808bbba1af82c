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
	/** Names of models that could be listed. */
	readonly candidates: () => readonly string[];
	/** The chain as it is stored now. */
	readonly chain: () => readonly string[];
	readonly edit: (change: ChainChange) => Promise<Changed | { readonly failure: string }>;
}

/** Has the person edit the chain on the screen, saved at each change; undefined where this pi shows no panels. */
export function editOnScreen(ctx: CommandContext, deps: Deps): Promise<"closed" | undefined> {
	const { pool, view, catalogue, candidates, chain, edit } = deps;
	/** Resolves with why nothing was changed; undefined where it was. One after the other. */
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
