"""Json files written record by record."""

import json

import pytest

from bacl.evaluation.json_list import JsonListWriter


def test_a_list_is_one_record_a_line(tmp_path):
    with JsonListWriter(tmp_path / "new/list.json") as writer:
        writer.write_texts(["1", "[2]"])
        writer.write_texts([])
        writer.write_texts(['"three"'])
    assert (tmp_path / "new/list.json").read_text() == '[\n1,\n[2],\n"three"\n]\n'


def test_a_list_inside_an_object_with_what_is_known_at_the_end(tmp_path):
    for records in ([], ["1", "2"]):
        seen = []
        before, after = '{"a": 0, "list": ', lambda seen=seen: f', "count": {len(seen)}}}'
        with JsonListWriter(tmp_path / "part.json", before, after) as writer:
            writer.write_texts(records)
            seen += records
        content = json.loads((tmp_path / "part.json").read_text())
        assert content == {"a": 0, "list": [int(text) for text in records], "count": len(records)}


@pytest.mark.parametrize("name", ["list.json", "list.json.gz"])
def test_a_list_that_cannot_be_finished_leaves_the_old_file(tmp_path, name):
    (tmp_path / name).write_text("old")

    def after():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), JsonListWriter(tmp_path / name, "", after) as writer:
        writer.write_texts(["1"])
    assert (tmp_path / name).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == [name]
