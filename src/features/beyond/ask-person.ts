import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import { raceAbort } from "../../core/abort.ts";
import type { DryAnswer, Offer } from "../../core/beyond/ladder.ts";
import type { Outlook } from "../../core/forecast/forecast.ts";
import type { Clock, ForecastSource } from "../../core/ports.ts";
import { modeOf } from "../../pi/output.ts";
import { openPanel, panelsClosed } from "../../pi/panel.ts";
import { answerOf, choicesOf } from "./choices.ts";
import { createBeyondPanel } from "./panel.ts";
import { choiceText, HEADING, periodText } from "./texts.ts";

interface Ports {
	/** Forecasts how long quota lasts. */
	readonly forecasts: Pick<ForecastSource, "renew">;
	readonly clock: Clock;
}

const STOP: DryAnswer = { kind: "stop" };

/** Asks the person of a session: in a panel in the terminal, else in a dialog. */
export async function askPerson(
	ctx: ExtensionContext,
	offers: readonly Offer[],
	signal: AbortSignal,
	ports: Ports,
): Promise<DryAnswer> {
	const answered = modeOf(ctx) === "tui" ? await askOnPanel(ctx, offers, signal, ports) : undefined;
	return answered ?? askByDialog(ctx, offers, signal, ports.clock);
}

/** Undefined if this pi cannot show a panel. */
async function askOnPanel(
	ctx: ExtensionContext,
	offers: readonly Offer[],
	signal: AbortSignal,
	{ forecasts, clock }: Ports,
): Promise<DryAnswer | undefined> {
	// The oldest hosts close whatever is on the screen for it, perhaps a sign-in that would help.
	const isFree = await raceAbort(panelsClosed(), signal).then(
		() => true,
		() => false,
	);
	if (!isFree) return STOP;
	let draft = () => "";
	const answer = await openPanel<DryAnswer>({ host: ctx, signal }, { ended: STOP, question: HEADING }, (host) => {
		let again: Outlook | undefined;
		const panel = createBeyondPanel({
			...host,
			room: host.wholeRoom,
			offers,
			again: () => again,
			now: clock.now,
			onAnswer: host.close,
		});
		let isOpen = true;
		host.onClose(() => {
			isOpen = false;
		});
		void forecasts.renew().then((forecast) => {
			again = forecast?.again;
			if (isOpen && again) host.repaint();
		});
		draft = panel.draft;
		return panel.component;
	});
	// Puts what was meant for the editor there, without sending it.
	const typed = draft();
	if (typed !== "") ctx.ui.pasteToEditor(typed);
	return answer;
}

async function askByDialog(
	ctx: ExtensionContext,
	offers: readonly Offer[],
	signal: AbortSignal,
	clock: Clock,
): Promise<DryAnswer> {
	const now = clock.now();
	const rows = choicesOf(offers).flatMap((choice) => {
		const text = choiceText(choice, now);
		const once = { text, answer: answerOf(choice, false) };
		if (choice.kind === "stop" || !choice.canBeRemembered) return [once];
		const today = { text: `${text}. ${periodText(true)}`, answer: answerOf(choice, true) };
		return [once, today];
	});
	const chosen = await ctx.ui.select(
		HEADING,
		rows.map(({ text }) => text),
		{ signal },
	);
	return rows.find(({ text }) => text === chosen)?.answer ?? STOP;
}
