import { cedarString } from "./display.ts";
import { type EntityName, isEntityName, type PolicyLink } from "./policy-set.ts";
import type { Reading, ReadPolicy, Slot } from "./read-policy.ts";

/** Comments and texts are passed over: what looks like a slot in them is none. */
const SLOTS = /\/\/[^\n]*|"(?:[^"\\]|\\.)*"|\?principal|\?resource/g;

/** The policy that a link makes of a template, which is `undefined` when there is none of that id. */
export function linkPolicy(link: PolicyLink, template: ReadPolicy | undefined): Reading {
  const message = faultOf(link, template);
  if (message !== undefined || template === undefined) {
    return { policies: [], problems: [{ policy: link.id, message: message ?? "" }] };
  }
  const { effect, description, mentioned } = template;
  const text = filledIn(template.text, link);
  return {
    policies: [{ id: link.id, effect, text, kind: "link", description, mentioned, slots: [], link }],
    problems: [],
  };
}

function faultOf(link: PolicyLink, template: ReadPolicy | undefined): string | undefined {
  if (template === undefined) return `there is no template ${cedarString(link.template)}`;
  if (template.kind !== "template") return `${link.template} is a policy and no template: it has no slots`;
  for (const slot of ["?principal", "?resource"] as const) {
    const value = filling(link, slot);
    const isWanted = template.slots.includes(slot);
    if (isWanted && value === undefined)
      return `${link.template} has ${slot}, which the link does not fill in`;
    if (!isWanted && value !== undefined) return `${link.template} has no ${slot} for the link to fill in`;
    if (value !== undefined && !isEntityName(value)) return `what the link has for ${slot} names no entity`;
  }
  return undefined;
}

function filledIn(text: string, link: PolicyLink): string {
  return text.replace(SLOTS, (token) => {
    const value = token === "?principal" || token === "?resource" ? filling(link, token) : undefined;
    return value === undefined ? token : `${value.type}::${cedarString(value.id)}`;
  });
}

function filling({ principal, resource }: PolicyLink, slot: Slot): EntityName | undefined {
  return slot === "?principal" ? principal : resource;
}
