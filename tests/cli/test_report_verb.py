from plaudit.cli.main import main
from plaudit.report.data import ReportData, WrongPair
from plaudit.report.folder import write_report


def test_renders_again_from_the_folder(tmp_path, capsys):
    write_report(tmp_path, ReportData(title="Mine", wrong=(WrongPair(3, -1.5, "user: hello", "good", "secret"),)))
    (tmp_path / "report.html").unlink()
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    assert "secret" in (tmp_path / "report.html").read_text(encoding="utf-8")
    other = tmp_path / "bare.html"
    assert main(["report", str(tmp_path), "--no-texts", "--out", str(other)]) == 0
    assert "secret" not in other.read_text(encoding="utf-8")


def test_a_folder_without_a_report_is_one_line(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "report.json is not there" in capsys.readouterr().err
