import { printable } from "../../core/account.ts";
import type { Rung } from "../../core/beyond/ladder.ts";
import { durationText } from "../../core/duration.ts";
import type { CreditsConsent, ReserveModelConsent, Settings } from "../../core/settings.ts";

/** The word that ends every consent for today. */
export const FORGET = "forget";

const CREDITS: Readonly<Record<CreditsConsent, string | undefined>> = {
	own: "bought credits where plain pi would spend them",
	ask: "bought credits if you agree",
	allow: "bought credits",
	never: undefined,
};

const RESERVE_MODEL: Readonly<Record<ReserveModelConsent, string | undefined>> = {
	ask: "Luna Reserve if you agree",
	always: "Luna Reserve",
	never: undefined,
};

/**
 * Says what serves, and in which order, once all included quota is out. A host without virtual models asks no chain.
 */
export function whatComesNext({ beyond, rotation }: Settings, hasVirtualModels: boolean): string {
	const links = hasVirtualModels ? beyond.chain : [];
	const steps = [
		CREDITS[beyond.credits],
		RESERVE_MODEL[beyond.reserveModel],
		"a reset credit if you agree",
		links.length > 0 ? `${links.map(printable).join(", ")} (/multicodex chain)` : undefined,
		rotation.maxWaitMs > 0 ? `a wait of up to ${durationText(rotation.maxWaitMs)}` : undefined,
	].filter((step) => step !== undefined);
	return `When all quota is out: ${steps.join(", then ")}.`;
}

const KINDS: Readonly<Record<Rung["kind"], string>> = {
	credits: "bought credits",
	"reserve-model": "Luna Reserve",
	"reset-credit": "reset credits",
	chain: "other models",
	wait: "waiting",
};

/** Lists what the person has agreed to for today; empty if there is nothing. */
export function agreedToday(kinds: readonly Rung["kind"][]): string[] {
	if (kinds.length === 0) return [];
	const names = kinds.map((kind) => KINDS[kind]).join(", ");
	return [`You have agreed for today, until midnight: ${names}. /multicodex beyond ${FORGET} ends that.`];
}

/** Returns the text after every consent for today has ended. */
export function askedAgain(kinds: readonly Rung["kind"][]): string {
	return `You are asked again before these serve: ${kinds.map((kind) => KINDS[kind]).join(", ")}.`;
}

/** Returns the text if there was no consent for today. */
export function nothingRemembered(): string {
	return "There is no consent for today to end.";
}
