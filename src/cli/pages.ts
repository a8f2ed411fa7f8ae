export interface Page<Item> {
  readonly items: readonly Item[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/** Everything there is, page by page; `next` gets an empty token first. */
export async function collectPages<Item>(
  next: (pageToken: string) => Promise<Page<Item>>,
): Promise<readonly Item[]> {
  const all: Item[] = [];
  let page = await next("");
  all.push(...page.items);
  while (page.nextPageToken !== "") {
    page = await next(page.nextPageToken);
    all.push(...page.items);
  }
  return all;
}
